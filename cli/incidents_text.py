"""The rare incidents of a run, as a terminal shows them."""

from typing import Any

from cli.printing import Columns, print_items, print_table
from suites.formatting import number, share

COLUMNS = (
    ("incident", lambda kind: kind["kind"]),
    ("candidate", lambda kind: _rate(kind["candidate"])),
    ("baseline", lambda kind: _rate(kind["baseline"])),
    ("places: candidate", lambda kind: len(kind["candidate_only"])),
    ("baseline", lambda kind: len(kind["baseline_only"])),
    ("both", lambda kind: len(kind["both"])),
    ("evidence", lambda kind: f"{kind['e_value']:.2g} of {kind['threshold']:g}"),
    ("p", lambda kind: "-" if kind["p_value"] is None else f"{kind['p_value']:.2g}"),
    ("candidate has", lambda kind: kind["word"]),
    ("hours needed", lambda kind: "-" if (h := kind["hours_needed"]) is None else f"{h:,.0f}"),
)
EVIDENCE = (
    "evidence: label test on distinct routes, readable at any time. "
    "p: McNemar's exact test of them (Holm), all driven."
)


def print_incidents(view: dict[str, Any]) -> None:
    """Rates of each kind, what an enriched sample is worth, and shares by starting offset."""
    weights = view["offset_weights"]
    what = "95 % interval; drives with it in hours driven"
    print(f"Per 1,000 h of natural driving, {_exposure(weights)} ({what}):")
    titles = [title for title, _ in COLUMNS]
    print_table(titles, [[cell(kind) for _, cell in COLUMNS] for kind in view["kinds"]], "")
    if sample := view["enriched"]:
        _print_enriched(sample)
    print(EVIDENCE)
    _print_offsets(view["kinds"], stated=bool(weights))


def _exposure(weights: dict[str, float]) -> str:
    if not weights:
        return "over drives that began on the logged path"
    parts = ", ".join(f"{offset} {share(weight, 6)}" for offset, weight in weights.items())
    return f"starting offsets weighted as the suite states: {parts}"


def _print_enriched(sample: dict[str, Any]) -> None:
    print(
        f"enriched: {sample['drives']} drives of {sample['segments']} segments, "
        f"worth {sample['effective_segments']:.1f} natural segments; "
        f"one drive counts for at most {sample['largest_weight']:.1f}."
    )
    if sample["warning"]:
        print(f"careful: {sample['warning']}.")


def _print_offsets(kinds: list[dict[str, Any]], stated: bool) -> None:
    """Drives that began beside the logged path, where either model had an incident."""
    pairs = [
        {"incident": kind["kind"], "candidate": candidate, "baseline": baseline}
        for kind in kinds
        for candidate, baseline in zip(
            kind["candidate_offsets"], kind["baseline_offsets"], strict=True
        )
        if candidate["with_incident"] or baseline["with_incident"]
    ]
    if not pairs:
        return
    unknown = "" if stated else " (never per hour: the suite does not state how often that happens)"
    print(f"\nShares of the drives that began beside the log{unknown}:")
    columns: Columns = {
        "incident": "incident",
        "offset": "candidate.offset",
        "candidate": lambda pair: _share(pair["candidate"]),
        "baseline": lambda pair: _share(pair["baseline"]),
    }
    print_items(pairs, columns, "")


def _rate(rate: dict[str, Any]) -> str:
    """`12.5 [8.1, 19] (9 in 720 h)`, per 1,000 h."""
    if rate["low"] is None:
        return "nothing driven"
    per_1000_h = rate["per_1000_h"]
    quoted = "too little driven for a rate" if per_1000_h is None else number(per_1000_h)
    driven = f"{rate['with_incident']} in {number(rate['hours'])} h"
    if f"{rate['hours']:.2f}" != f"{rate['effective_hours']:.2f}":
        driven += f" worth {number(rate['effective_hours'])} h"
    return f"{quoted} [{number(rate['low'])}, {number(rate['high'])}] ({driven})"


def _share(drives: dict[str, Any]) -> str:
    interval = f"[{100 * drives['low']:.0f}, {100 * drives['high']:.0f}] %"
    return f"{drives['with_incident']} of {drives['drives']} {interval}"
