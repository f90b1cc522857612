"""The pull-request comment of a run: one line, one sentence, the worst cases, then a fold."""

from collections.abc import Sequence

from server.services.documents import phrases
from server.services.runs.pairs import Change, PairView
from server.services.runs.run_views import RunView
from suites.vocabulary import RunVerdict

ICONS = {RunVerdict.PASS: "✅", RunVerdict.FAIL: "❌", RunVerdict.INCONCLUSIVE: "⚖️"}
"""A verdict is word and icon, never colour alone."""
_HARMLESS = str.maketrans({"&": "&amp;", "<": "&lt;", "|": "\\|", "\n": " ", "@": "@\u200b"})
_IN_CODE = str.maketrans("`|\n", "'/ ")


def comment(run: RunView, changes: dict[Change, int], worst: Sequence[PairView]) -> str:
    """GitHub-flavoured Markdown. `worst` are the pairs to look at first, the worst first."""
    icon = ICONS[run.verdict] + " " if run.verdict is not None else ""
    lines = [
        f"### {icon}{phrases.headline(run, changes)}",
        "",
        _safe(run.sentence or run.error or "No verdict yet."),
        *(["", f"**{_safe(run.standing)}**"] if run.standing else []),
        "",
        _safe(phrases.line_text(run)),
        "",
        f"[Open the run]({run.url})",
        *_worst_table(worst),
        "",
        "<details><summary>Gates and provenance</summary>",
        "",
        *_gate_table(run),
        "",
        *_provenance(run),
        "",
        "</details>",
        "",
    ]
    return "\n".join(lines)


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _worst_table(worst: Sequence[PairView]) -> list[str]:
    if not worst:
        return []
    by = f"worst cases by {_safe(worst[0].metric)}"
    lines = ["", _row(by, "candidate", "baseline", "difference"), "|---|---|---|---:|"]
    for pair in worst:
        sides = [phrases.side_text(pair, side) for side in (pair.candidate, pair.baseline)]
        lines.append(_row(_code(pair.case_id), *sides, phrases.difference_text(pair)))
    return lines


def _gate_table(run: RunView) -> list[str]:
    lines = [
        "| gate | verdict | change (worse is positive) | margin | pairs | invalid |",
        "|---|---|---|---:|---:|---:|",
    ]
    for gate in phrases.gates_of(run):
        name = f"{gate['metric']}, {gate['estimand']}" + ("" if gate["critical"] else " (advisory)")
        sizes = phrases.gate_change(gate), phrases.gate_margin(gate)
        lines.append(_row(_safe(name), gate["verdict"], *sizes, gate["pairs"], gate["invalid"]))
    return lines if len(lines) > 2 else ["No gate was judged."]


def _provenance(run: RunView) -> list[str]:
    execution = run.candidate_execution
    runtime = f"{execution['runtime']} {execution['version']}"
    where = f"{runtime} in {execution['precision']} on {execution['device']}"
    pairs = f"{run.pairs_consumed} of {run.planned} pairs"
    return [
        f"- candidate {_code(run.candidate.name)} `{run.candidate.digest[:12]}`",
        f"- baseline {_code(run.baseline.name)} `{run.baseline.digest[:12]}`",
        f"- suite {_code(run.suite.name)} `{run.suite.digest[:12]}`, {pairs}",
        f"- simulator {run.simulator['name']} {run.simulator['version']}, {where}",
        *(f"- {_safe(name)} {_safe(str(value))}" for name, value in run.source.items()),
    ]


def _safe(text: str) -> str:
    """Text that can't break a table, open a tag or mention somebody."""
    return text.translate(_HARMLESS)


def _code(text: str) -> str:
    return f"`{text.translate(_IN_CODE)}`"
