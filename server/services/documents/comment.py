"""The pull-request comment of a run: one line, one sentence, the worst cases, then a fold."""

from collections.abc import Sequence
from typing import Any

from server.services.runs.pairs import Change, PairView, Side
from server.services.runs.run_views import RunView
from suites.vocabulary import MetricVerdict, Outcome, RunVerdict

ICONS = {RunVerdict.PASS: "✅", RunVerdict.FAIL: "❌", RunVerdict.INCONCLUSIVE: "⚖️"}
"""A verdict is word and icon, never colour alone."""

FAILING = (MetricVerdict.WORSE,)
OPEN = (MetricVerdict.CANNOT_TELL, MetricVerdict.MIXED)


def headline(run: RunView, changes: dict[Change, int]) -> str:
    """`FAIL · highway@3f2a91 · 2 of 9 gates worse · 11 regressed, 4 improved, 1985 unchanged · 3 invalid`."""
    parts = [str(run.verdict or run.status).upper(), run.suite.short]
    gates = (run.verdict_document or {}).get("gates", [])
    if run.verdict is not None and gates:
        parts.append(_gate_count(run.verdict, gates))
    cases = [
        case for case in (run.verdict_document or {}).get("cases", []) if case["passed"] is False
    ]
    if cases:
        parts.append(f"{len(cases)} must-pass case{'s' if len(cases) > 1 else ''} failed")
    parts.append(
        ", ".join(
            f"{changes[c]} {c}" for c in (Change.REGRESSED, Change.IMPROVED, Change.UNCHANGED)
        )
    )
    parts += [
        f"{changes[c]} {c}" for c in (Change.CENSORED, Change.INVALID, Change.OPEN) if changes[c]
    ]
    return " · ".join(parts)


def _gate_count(verdict: RunVerdict, gates: Sequence[dict[str, Any]]) -> str:
    critical = [gate for gate in gates if gate["critical"]]
    if verdict is RunVerdict.FAIL:
        return f"{sum(g['verdict'] in FAILING for g in critical)} of {len(critical)} gates worse"
    if verdict is RunVerdict.INCONCLUSIVE:
        return f"{sum(g['verdict'] in OPEN for g in critical)} of {len(critical)} gates open"
    return f"{len(critical)} of {len(critical)} gates held"


def comment(run: RunView, changes: dict[Change, int], worst: Sequence[PairView]) -> str:
    """GitHub-flavoured Markdown. `worst` are the pairs to look at first, the worst first."""
    icon = ICONS[run.verdict] + " " if run.verdict is not None else ""
    lines = [
        f"### {icon}{headline(run, changes)}",
        "",
        _safe(run.sentence or run.error or "No verdict yet."),
        "",
        f"[Open the run]({run.url})",
    ]
    if worst:
        lines += [
            "",
            f"| worst cases by {_safe(worst[0].metric)} | candidate | baseline | difference |",
            "|---|---|---|---:|",
        ]
        lines += [
            f"| {_code(p.case_id)} | {side_text(p, p.candidate)} | {side_text(p, p.baseline)} | {_change(p)} |"
            for p in worst
        ]
    lines += [
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


def _gate_table(run: RunView) -> list[str]:
    gates = (run.verdict_document or {}).get("gates", [])
    if not gates:
        return ["No gate was judged."]
    lines = [
        "| gate | verdict | change (worse is positive) | margin | pairs | invalid |",
        "|---|---|---|---:|---:|---:|",
    ]
    for gate in gates:
        name = f"{gate['metric']}, {gate['estimand']}" + ("" if gate["critical"] else " (advisory)")
        lines.append(
            f"| {_safe(name)} | {gate['verdict']} | {interval_text(gate['interval'])} | {percent(gate['margin'])} "
            f"| {gate['pairs']} | {gate['invalid']} |"
        )
    return lines


def _provenance(run: RunView) -> list[str]:
    execution = run.candidate_execution
    how = f"{execution['runtime']} {execution['version']} in {execution['precision']} on {execution['device']}"
    lines = [
        f"- candidate {_code(run.candidate.name)} `{run.candidate.digest[:12]}`",
        f"- baseline {_code(run.baseline.name)} `{run.baseline.digest[:12]}`",
        f"- suite {_code(run.suite.name)} `{run.suite.digest[:12]}`, {run.pairs_consumed} of {run.planned} pairs",
        f"- simulator {run.simulator['name']} {run.simulator['version']}, {how}",
    ]
    lines += [f"- {_safe(name)} {_safe(str(value))}" for name, value in run.source.items()]
    return lines


def percent(share: float | None) -> str:
    """`+3.1 %`; a dash where there is no number."""
    return "–" if share is None else f"{100 * share:+.1f} %"


def interval_text(interval: dict[str, float | None] | None) -> str:
    """`+3.1 % [+1.2 %, +5.0 %]`."""
    if interval is None:
        return "–"
    return (
        f"{percent(interval['estimate'])} [{percent(interval['low'])}, {percent(interval['high'])}]"
    )


def side_text(pair: PairView, side: Side) -> str:
    """`0.31 m`, `failed at 3.2 s`, `not driven yet`."""
    if side.outcome is None:
        return "not driven yet"
    if side.outcome is not Outcome.COMPLETED:
        at = f" at {side.ended_s:.1f} s" if side.ended_s is not None else ""
        return side.outcome.replace("_", " ") + at
    return "not valid" if side.value is None else f"{side.value:.3g}{_unit(pair)}"


def _unit(pair: PairView) -> str:
    return "" if pair.unit in ("", "1") else f" {pair.unit}"


def _change(pair: PairView) -> str:
    return "–" if pair.delta is None else f"{pair.delta:+.3g}{_unit(pair)}"


def _safe(text: str) -> str:
    """Text that can't break a table, open a tag or mention somebody."""
    for character, instead in (
        ("&", "&amp;"),
        ("<", "&lt;"),
        ("|", "\\|"),
        ("\n", " "),
        ("@", "@\u200b"),
    ):
        text = text.replace(character, instead)
    return text


def _code(text: str) -> str:
    plain = text.replace("`", "'").replace("|", "/").replace("\n", " ")
    return f"`{plain}`"
