"""From a suite to its version: selectors, offsets and cases become rollouts in a fixed order."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from suites.conditions import load_condition
from suites.definition.cost_draw import draw_metric, drawn_order
from suites.definition.enrichment import Enrichment, draw
from suites.definition.selector import Selector, left_out, selected
from suites.definition.suite_schema import (
    SHORTEST_S,
    CaseSpec,
    PlannedRollout,
    Suite,
    SuiteVersion,
    offset_name,
)
from suites.errors import Finding, SubmitterError
from suites.metrics.registry import METRICS
from suites.rollout import Scenario
from suites.segment import SegmentMeta
from suites.simulators import misfit

SHORTEST_SELECTED_S = 1.0
"""A selected segment with a shorter window is left out."""


def resolve(suite: Suite, metas: Sequence[SegmentMeta], parent: str | None = None) -> SuiteVersion:
    """Fix a suite against the stored segments: digests, windows, order. Raises SubmitterError."""
    by_id = {meta.segment_id: meta for meta in metas}
    planned = _selected_rollouts(suite, suite.select, metas) if suite.select else []
    weights: dict[Scenario, float] = {}
    if suite.enriched is not None and planned:
        weights = _drawn(suite, suite.enriched, planned, by_id)
        planned = [p for p in planned if p.scenario in weights]
    natural_weights = tuple(weights[p.scenario] for p in planned) if weights else ()
    if findings := tuple(_not_stored(suite, by_id)):
        raise SubmitterError(f"suite {suite.name} has cases whose segment is not stored", findings)
    for case in suite.cases:
        planned += _case_rollouts(case, by_id[case.segment], suite.simulator.name)
    used = {gate.metric for gate in suite.gates}
    if suite.draw == "cost":
        used.add(draw_metric(suite))
    return SuiteVersion(
        suite=suite,
        planned=tuple(planned),
        parent=parent,
        natural_weights=natural_weights,
        slices=_slices(suite, planned, by_id),
        metric_versions={name: METRICS[name].version for name in sorted(used)},
    )


def _selected_rollouts(
    suite: Suite, selector: Selector, metas: Sequence[SegmentMeta]
) -> list[PlannedRollout]:
    """Every selected segment from every offset, breadth first."""
    chosen = selected(selector, metas)
    planned: list[PlannedRollout] = []
    for meta in chosen:
        end_s = min(suite.end_s or meta.duration_s, meta.duration_s)
        if end_s - suite.start_s < SHORTEST_SELECTED_S:
            continue
        if problem := misfit(suite.simulator.name, meta):
            remedy = "leave it out, or choose another simulator"
            finding = Finding("select", f"{meta.segment_id}: {problem}", remedy)
            error = f"suite {suite.name} selects what its simulator can't drive"
            raise SubmitterError(error, finding)
        for offset in suite.offsets:
            scenario = Scenario(
                segment_id=meta.segment_id,
                segment_digest=meta.digest,
                start_s=suite.start_s,
                end_s=end_s,
                offset=offset,
                noise=suite.noise,
            )
            name = f"{meta.segment_id}@{offset_name(offset)}"
            planned += _repeated(name, meta.route, scenario, suite.repeats)
    if not planned:
        raise _nothing_selected(suite, selector, chosen, metas)
    return breadth_first(planned, suite.order_seed or 0, selector.max_routes)


def _repeated(
    name: str, route: str, scenario: Scenario, repeats: int, case: str | None = None
) -> list[PlannedRollout]:
    return [
        PlannedRollout(case_id=f"{name}#{r}", route=route, scenario=scenario, repeat=r, case=case)
        for r in range(repeats)
    ]


STREAM = 2
"""Of the order, apart from those of other draws by the same seed, and from data that somebody else
generated with it."""


def breadth_first(
    planned: Sequence[PlannedRollout], seed: int, max_routes: int | None = None
) -> list[PlannedRollout]:
    """A random order fixed by `seed`: one rollout of every route, then a second of each ..."""
    generator = np.random.default_rng([seed, STREAM])
    routes = sorted({p.route for p in planned})
    generator.shuffle(routes)
    queues: dict[str, list[PlannedRollout]] = {route: [] for route in routes[:max_routes]}
    for p in planned:
        if p.route in queues:
            queues[p.route].append(p)
    for queue in queues.values():
        generator.shuffle(queue)
    depth = max((len(q) for q in queues.values()), default=0)
    return [queue[i] for i in range(depth) for queue in queues.values() if i < len(queue)]


def run_order(
    version: SuiteVersion, seed: int, weights: NDArray[np.float64] | None = None
) -> tuple[PlannedRollout, ...]:
    """A version's rollouts in the order of one run: breadth first again by the run's own seed,
    must-pass cases last. By the version's seed it is the version's own order. With `weights` of the
    pairs in that order, drawn by them instead."""
    if weights is None and seed == (version.suite.order_seed or 0):
        return version.planned
    overall = [p for p in version.planned if p.case is None]
    cases = [p for p in version.planned if p.case is not None]
    if weights is None:
        return (*breadth_first(overall, seed), *cases)
    drawn = drawn_order([p.case_id for p in overall], weights, seed)
    return (*(overall[i] for i in drawn.tolist()), *cases)


def _slices(
    suite: Suite, planned: Sequence[PlannedRollout], by_id: Mapping[str, SegmentMeta]
) -> dict[str, tuple[str, ...]]:
    """The selected segments of every declared slice. Raises SubmitterError where one has none."""
    chosen = sorted({p.scenario.segment_id for p in planned if p.case is None})
    found: dict[str, tuple[str, ...]] = {}
    findings = []
    for i, part in enumerate(suite.slices):
        wanted = set(part.tags)
        found[part.name] = tuple(name for name in chosen if wanted <= set(by_id[name].tags))
        if not found[part.name]:
            problem = f"no selected segment has {' and '.join(part.tags)}: no run could ever pass"
            remedy = "import or select such segments, correct the tags, or drop the slice"
            findings.append(Finding(f"slices.{i}.tags", problem, remedy))
    if findings:
        raise SubmitterError(f"suite {suite.name} has slices without a segment", tuple(findings))
    return found


def _drawn(
    suite: Suite,
    enriched: Enrichment,
    planned: Sequence[PlannedRollout],
    by_id: Mapping[str, SegmentMeta],
) -> dict[Scenario, float]:
    """The scenarios of an enriched suite that are driven, with their natural weights."""
    scenarios = list(dict.fromkeys(p.scenario for p in planned))
    natural = dict(zip(suite.offsets, suite.offset_weights, strict=True))
    return draw(enriched, scenarios, natural, by_id, suite.order_seed or 0)


def _nothing_selected(
    suite: Suite, selector: Selector, chosen: Sequence[SegmentMeta], metas: Sequence[SegmentMeta]
) -> SubmitterError:
    """Why: each rule with what it leaves out."""
    findings = left_out(selector, metas)
    if chosen:
        matches = f"{len(chosen)} segments match"
        problem = f"{matches} and none is driven for a second after {suite.start_s:g} s"
        findings = (Finding("start_s", problem, "start earlier, or end later"),)
    elif not metas:
        remedy = "`redrive segments import`, or `redrive world`"
        findings = (Finding("select", "nothing is stored", remedy),)
    return SubmitterError(f"suite {suite.name} selects no stored segment", findings)


def _not_stored(suite: Suite, by_id: Mapping[str, SegmentMeta]) -> Iterator[Finding]:
    """The cases whose segment is not there, with the command that brings it."""
    for case in suite.cases:
        if case.segment in by_id:
            continue
        remedy = "import it (`redrive segments import`), or name another"
        if case.segment.startswith("world-"):
            remedy = "make it: `redrive world`"
        yield Finding(f"cases.{case.name}.segment", f"{case.segment} is not stored", remedy)


def _case_rollouts(case: CaseSpec, meta: SegmentMeta, simulator: str) -> list[PlannedRollout]:
    """Every repeat of a case. Raises SubmitterError where it can't be driven or judged."""
    where = f"cases.{case.name}"
    end_s = case.end_s or meta.duration_s
    if end_s > meta.duration_s + 1e-6:
        lasts = f"its segment lasts {meta.duration_s:g} s"
        finding = Finding(f"{where}.end_s", "outside the segment", "shorten the window")
        raise SubmitterError(f"case {case.name} ends at {end_s:g} s but {lasts}", finding)
    if problem := misfit(simulator, meta):
        remedy = "name another segment, or another simulator"
        finding = Finding(f"{where}.segment", problem, remedy)
        raise SubmitterError(f"case {case.name} can't be driven", finding)
    if never := tuple(_never_judged(case, end_s, where)):
        raise SubmitterError(f"case {case.name} can never be judged", never)
    scenario = Scenario(
        segment_id=case.segment,
        segment_digest=meta.digest,
        start_s=case.start_s,
        end_s=end_s,
        offset=case.offset,
        noise=case.noise,
    )
    return _repeated(case.name, meta.route, scenario, case.repeats, case.name)


def _never_judged(case: CaseSpec, end_s: float, where: str) -> Iterator[Finding]:
    """Windows that lie behind the end of what is driven."""
    lasts_s = end_s - case.start_s
    if lasts_s <= 0:
        problem = f"it starts at {case.start_s:g} s and the segment ends at {end_s:g} s"
        yield Finding(f"{where}.start_s", problem, "start earlier")
        return
    if lasts_s < SHORTEST_S:
        remedy = f"at least {SHORTEST_S:g} s after start_s"
        yield Finding(f"{where}.end_s", f"its window lasts {lasts_s:g} s", remedy)
    for i, document in enumerate(case.conditions):
        from_s = load_condition(document).from_s
        if case.start_s + from_s >= end_s:
            problem = f"{from_s:g} s after the start lies behind the case's end"
            yield Finding(f"{where}.conditions.{i}.from_s", problem, f"below {lasts_s:g}")


def on_routes(suite: Suite, max_routes: int) -> Suite:
    """The same suite on the first routes of its order: a smaller run, another digest."""
    cannot = f"it cannot be cut to {max_routes} routes"
    if suite.select is None:
        raise SubmitterError(f"suite {suite.name} has no [select]: {cannot}")
    if suite.enriched is not None:
        problem = "the routes that no drive was drawn on would be missing, and its rates wrong"
        remedy = "state max_routes in its [select], or a smaller share"
        finding = Finding("enriched", problem, remedy)
        raise SubmitterError(f"suite {suite.name} is enriched: {cannot}", finding)
    return replace(suite, select=replace(suite.select, max_routes=max_routes))
