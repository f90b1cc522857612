"""Suites: what is driven and how it is judged, as frozen data loaded from TOML and addressed by digest."""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isclose
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, StringConstraints, TypeAdapter, ValidationError

from suites.conditions import load_condition
from suites.definition.enrichment import Enrichment, draw, enrichment_contradictions
from suites.definition.selector import Selector, left_out, selected, selector_contradictions
from suites.errors import Finding, SubmitterError
from suites.identity import digest
from suites.manifest import STRICT, validation_findings
from suites.metrics.registry import METRICS
from suites.rollout import Noise, Offset, Scenario
from suites.segment import SegmentMeta
from suites.simulators import misfit
from suites.vocabulary import Estimand

SHORTEST_S = 0.2
"""Shortest window of a case: two steps of the slowest simulator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """The rule that a metric must satisfy: the candidate is not worse than the baseline by more than the margin."""

    __pydantic_config__ = STRICT

    metric: str
    estimand: Estimand = Estimand.TYPICAL
    margin: Annotated[float, Field(gt=0, le=10)] = 0.02
    """Largest relative worsening that is accepted (0.02 is 2 %)."""
    critical: bool = True
    """False: advisory, shown but never decides the run."""
    fail_fast: bool = False
    """Fail at once when worse is certain though its size is open (0 < L <= margin < U)."""
    winsor_cap: Annotated[float, Field(gt=0)] | None = None
    """For the raw mean: costs above it count as the cap, so that the margin test is valid under rare spikes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseSpec:
    """One named test of a specific suite: every repeat must meet the conditions."""

    __pydantic_config__ = STRICT

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=120)]
    segment: str
    start_s: Annotated[float, Field(ge=0)] = 0.0
    end_s: Annotated[float, Field(gt=0)] | None = None
    offset: Offset = field(default_factory=Offset)
    noise: Noise = field(default_factory=Noise)
    repeats: Annotated[int, Field(ge=1, le=100)] = 1
    must_pass_repeats: Annotated[int, Field(ge=1)] | None = None
    """Of `repeats`; all when not given. The case's own rule against flakiness."""
    conditions: tuple[dict[str, Any], ...] = ()
    note: str = ""
    """Why it exists: required when a case is registered from a failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorChoice:
    __pydantic_config__ = STRICT

    name: Literal["reprojection", "tinyphysics", "rendered"] = "reprojection"
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """A suite as written in TOML."""

    __pydantic_config__ = STRICT

    format: Literal["redrive.suite/1"] = "redrive.suite/1"
    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_]*$", max_length=60)]
    kind: Literal["overall", "specific"]
    description: str = ""
    means_to_pass: str = ""
    """What a pass says, in one sentence for the reader of a verdict."""
    simulator: SimulatorChoice = field(default_factory=SimulatorChoice)
    select: Selector | None = None
    start_s: Annotated[float, Field(ge=0)] = 1.0
    """Judged window of every selected segment: from here (warm-up lies before) ..."""
    end_s: Annotated[float, Field(gt=0)] | None = None
    """... to here; the segment's end when not given."""
    offsets: tuple[Offset, ...] = (Offset(),)
    offset_weights: tuple[Annotated[float, Field(ge=0, le=1)], ...] = ()
    """Probability of each offset in natural driving, in their order. Only where it is stated do incidents from drives that
    began beside the log count per 1,000 h; gates weigh all pairs alike."""
    enriched: Enrichment | None = None
    """Only some of the grid of segments and offsets is driven, the hard more often: for the rates of rare incidents."""
    noise: Noise = field(default_factory=Noise)
    repeats: Annotated[int, Field(ge=1, le=100)] = 1
    cases: tuple[CaseSpec, ...] = ()
    gates: tuple[Gate, ...] = ()
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    spending_rho: Annotated[float, Field(gt=0, le=4)] = 1.0
    """Alpha spending: cumulative spend is alpha * t**rho at the share t of planned pairs."""
    flips: Annotated[int, Field(ge=99, le=99_999)] = 999
    """Sign vectors drawn once from the registered seed."""
    look_every: Annotated[int, Field(ge=1)] = 20
    """The evidence is looked at after each so many pairs, and at the end."""
    order_seed: Annotated[int, Field(ge=0)] = 0
    max_failed_share: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of rollouts that may fail before the run fails; None: not more than the baseline's by the exact test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRollout:
    """One place in a suite version's fixed order: a scenario, one repeat of it, the case that it belongs to."""

    case_id: str
    """`segment@+0.50m+0.0deg#repeat` for an overall suite, the case's name and `#repeat` for a specific one."""
    route: str
    scenario: Scenario
    repeat: int
    case: str | None = None
    """Name of the must-pass case, None in an overall suite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteVersion:
    """A suite resolved against stored segments: immutable, addressed by its digest."""

    suite: Suite
    metric_versions: dict[str, int]
    planned: tuple[PlannedRollout, ...]
    parent: str | None = None
    natural_weights: tuple[float, ...] = ()
    """Of an enriched suite: how many natural drives each of the first `planned` counts for; those that follow are cases."""

    @property
    def digest(self) -> str:
        return digest(self)


_SUITE = TypeAdapter(Suite)
_VERSION = TypeAdapter(SuiteVersion)


def load_suite(document: str | Path) -> Suite:
    """Suite from TOML text or a file. Raises SubmitterError naming line or field, and the remedy."""
    text = document.read_text() if isinstance(document, Path) else document
    try:
        suite = _SUITE.validate_python(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        finding = Finding(
            "document", str(error), "correct it there: https://toml.io explains the form"
        )
        raise SubmitterError(f"the suite is not TOML: {error}", (finding,)) from None
    except ValidationError as error:
        raise SubmitterError("the suite is not valid", validation_findings(error)) from None
    findings = tuple(_contradictions(suite))
    if findings:
        raise SubmitterError(f"suite {suite.name} contradicts itself", findings)
    return suite


def suite_version(document: Any) -> SuiteVersion:
    """A version as stored: the inverse of its canonical JSON, parsed."""
    return _VERSION.validate_python(document)


def _contradictions(suite: Suite) -> Iterable[Finding]:
    if suite.select is not None:
        yield from selector_contradictions(suite.select)
        wanted = "controls" if suite.simulator.name == "tinyphysics" else "camera"
        if suite.select.kind != wanted:
            problem = f"{suite.simulator.name} drives {wanted} segments, the suite takes {suite.select.kind}"
            yield Finding("select.kind", problem, f'kind = "{wanted}", or another simulator')
    if suite.end_s is not None and suite.end_s <= suite.start_s:
        yield Finding(
            "end_s",
            f"the window {suite.start_s:g} to {suite.end_s:g} s is empty",
            "make end_s larger",
        )
    if suite.select is None and not suite.cases:
        yield Finding("select", "the suite selects nothing", "add [select] or [[cases]]")
    if suite.kind == "specific" and not suite.cases:
        yield Finding(
            "cases", "a specific suite has no case", "add [[cases]], or make its kind overall"
        )
    if (
        suite.select is not None
        and not suite.gates
        and suite.kind == "overall"
        and suite.enriched is None
    ):
        yield Finding(
            "gates", "an overall suite has no gate", "add [[gates]] with a metric and a margin"
        )
    if not suite.offsets:
        yield Finding("offsets", "there is none", "offsets = [{}] starts on the human's path")
    if suite.offset_weights and len(suite.offset_weights) != len(suite.offsets):
        problem = f"{len(suite.offset_weights)} probabilities for {len(suite.offsets)} offsets"
        yield Finding("offset_weights", problem, "give one for each offset, in their order")
    elif suite.offset_weights and not isclose(sum(suite.offset_weights), 1, abs_tol=1e-6):
        yield Finding(
            "offset_weights",
            f"they add up to {sum(suite.offset_weights):g}",
            "make the sum of the probabilities 1",
        )
    if suite.enriched is not None:
        if suite.select is None:
            yield Finding("enriched", "the suite selects nothing to draw from", "add [select]")
        judged = {
            "gates": bool(suite.gates),
            "max_failed_share": suite.max_failed_share is not None,
        }
        yield from enrichment_contradictions(
            suite.enriched, suite.offset_weights, len(suite.offsets), judged
        )
    for offset in sorted({offset_name(o) for o in suite.offsets if suite.offsets.count(o) > 1}):
        yield Finding("offsets", f"{offset} is given twice", "keep one of them")
    for i, gate in enumerate(suite.gates):
        if gate.metric not in METRICS:
            yield Finding(
                f"gates.{i}.metric",
                f"no metric is named {gate.metric!r}",
                f"one of {', '.join(METRICS)}",
            )
        if gate.estimand is Estimand.MEAN and gate.winsor_cap is None:
            problem = "the mean can never be shown to be not worse without a cap: rare spikes could outweigh anything seen"
            yield Finding(
                f"gates.{i}.winsor_cap",
                problem,
                "declare the largest cost that counts, or judge the typical drive",
            )
    pairs = [(gate.metric, gate.estimand) for gate in suite.gates]
    for pair in sorted({p for p in pairs if pairs.count(p) > 1}):
        yield Finding(
            "gates", f"two gates judge {pair[0]} by the {pair[1]}", "keep one margin for each"
        )
    names = [case.name for case in suite.cases]
    for name in sorted({n for n in names if names.count(n) > 1}):
        yield Finding("cases", f"two cases are named {name!r}", "rename one")
    for case in suite.cases:
        if case.end_s is not None and case.end_s <= case.start_s:
            yield Finding(
                f"cases.{case.name}",
                "its window ends before it starts",
                "make end_s larger than start_s",
            )
        if case.must_pass_repeats is not None and case.must_pass_repeats > case.repeats:
            problem = f"{case.must_pass_repeats} of {case.repeats} repeats must pass"
            yield Finding(
                f"cases.{case.name}.must_pass_repeats", problem, f"at most {case.repeats}"
            )
        if case.repeats > 1 and case.noise == Noise():
            yield Finding(
                f"cases.{case.name}.repeats",
                "repeats without noise are copies",
                "declare noise, or drive it once",
            )
        for i, condition in enumerate(case.conditions):
            try:
                load_condition(condition, f"cases.{case.name}.conditions.{i}")
            except SubmitterError as error:
                yield from error.findings


def breadth_first(
    planned: Sequence[PlannedRollout], seed: int, max_routes: int | None = None
) -> list[PlannedRollout]:
    """A random order fixed by `seed`: one rollout of every route, then a second of every route, and so on."""
    generator = np.random.default_rng(seed)
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


def offset_name(offset: Offset) -> str:
    """`+0.50m+0.0m+1.0deg`: lateral, longitudinal, heading, as people read it."""
    return f"{offset.lateral_m:+.2f}m{offset.longitudinal_m:+.1f}m{np.degrees(offset.heading_rad):+.1f}deg"


def resolve(suite: Suite, metas: Sequence[SegmentMeta], parent: str | None = None) -> SuiteVersion:
    """Fix a suite against the stored segments: digests, windows and the order of replay. Raises SubmitterError."""
    by_id = {meta.segment_id: meta for meta in metas}
    planned: list[PlannedRollout] = []
    chosen = selected(suite.select, metas) if suite.select else []
    for meta in chosen:
        end_s = min(suite.end_s or meta.duration_s, meta.duration_s)
        if end_s - suite.start_s < 1.0:
            continue
        if problem := misfit(suite.simulator.name, meta):
            finding = Finding(
                "select",
                f"{meta.segment_id}: {problem}",
                "leave it out, or choose another simulator",
            )
            raise SubmitterError(
                f"suite {suite.name} selects what its simulator can't drive", (finding,)
            )
        for offset in suite.offsets:
            scenario = Scenario(
                segment_id=meta.segment_id,
                segment_digest=meta.digest,
                start_s=suite.start_s,
                end_s=end_s,
                offset=offset,
                noise=suite.noise,
            )
            planned += [
                PlannedRollout(
                    case_id=f"{meta.segment_id}@{offset_name(offset)}#{repeat}",
                    route=meta.route,
                    scenario=scenario,
                    repeat=repeat,
                )
                for repeat in range(suite.repeats)
            ]
    if suite.select and not planned:
        raise _nothing_selected(suite, suite.select, chosen, metas)
    max_routes = suite.select.max_routes if suite.select else None
    planned = breadth_first(planned, suite.order_seed, max_routes)
    drawn: list[float] = []
    if suite.enriched is not None and planned:
        natural = dict(zip(suite.offsets, suite.offset_weights, strict=True))
        weights = draw(
            suite.enriched,
            list(dict.fromkeys(p.scenario for p in planned)),
            natural,
            by_id,
            suite.order_seed,
        )
        planned = [p for p in planned if p.scenario in weights]
        drawn = [weights[p.scenario] for p in planned]
    if findings := tuple(_not_stored(suite, by_id)):
        raise SubmitterError(f"suite {suite.name} has cases whose segment is not stored", findings)
    for case in suite.cases:
        case_meta = by_id[case.segment]
        end_s = case.end_s or case_meta.duration_s
        if end_s > case_meta.duration_s + 1e-6:
            raise SubmitterError(
                f"case {case.name} ends at {end_s:g} s but its segment lasts {case_meta.duration_s:g} s",
                (Finding(f"cases.{case.name}.end_s", "outside the segment", "shorten the window"),),
            )
        if problem := misfit(suite.simulator.name, case_meta):
            finding = Finding(
                f"cases.{case.name}.segment", problem, "name another segment, or another simulator"
            )
            raise SubmitterError(f"case {case.name} can't be driven", (finding,))
        if never := tuple(_never_judged(case, end_s)):
            raise SubmitterError(f"case {case.name} can never be judged", never)
        scenario = Scenario(
            segment_id=case.segment,
            segment_digest=case_meta.digest,
            start_s=case.start_s,
            end_s=end_s,
            offset=case.offset,
            noise=case.noise,
        )
        planned += [
            PlannedRollout(
                case_id=f"{case.name}#{r}",
                route=case_meta.route,
                scenario=scenario,
                repeat=r,
                case=case.name,
            )
            for r in range(case.repeats)
        ]
    used = {gate.metric for gate in suite.gates}
    return SuiteVersion(
        suite=suite,
        planned=tuple(planned),
        parent=parent,
        natural_weights=tuple(drawn),
        metric_versions={name: METRICS[name].version for name in sorted(used)},
    )


def _nothing_selected(
    suite: Suite, selector: Selector, chosen: Sequence[SegmentMeta], metas: Sequence[SegmentMeta]
) -> SubmitterError:
    """Why: each rule with what it leaves out."""
    findings = left_out(selector, metas)
    if chosen:
        problem = f"{len(chosen)} segments match and none is driven for a second after {suite.start_s:g} s"
        findings = (Finding("start_s", problem, "start earlier, or end later"),)
    elif not metas:
        findings = (
            Finding("select", "nothing is stored", "`redrive segments import`, or `redrive world`"),
        )
    return SubmitterError(f"suite {suite.name} selects no stored segment", findings)


def _not_stored(suite: Suite, by_id: Mapping[str, SegmentMeta]) -> Iterable[Finding]:
    """The cases whose segment is not there, with the command that brings it."""
    for case in suite.cases:
        if case.segment not in by_id:
            ours = case.segment.startswith("world-")
            remedy = (
                "make it: `redrive world`"
                if ours
                else "import it (`redrive segments import`), or name another"
            )
            yield Finding(f"cases.{case.name}.segment", f"{case.segment} is not stored", remedy)


def _never_judged(case: CaseSpec, end_s: float) -> Iterable[Finding]:
    """Windows that lie behind the end of what is driven."""
    if case.start_s >= end_s:
        problem = f"it starts at {case.start_s:g} s and the segment ends at {end_s:g} s"
        yield Finding(f"cases.{case.name}.start_s", problem, "start earlier")
    elif end_s - case.start_s < SHORTEST_S:
        problem = f"its window lasts {end_s - case.start_s:g} s"
        yield Finding(
            f"cases.{case.name}.end_s", problem, f"at least {SHORTEST_S:g} s after start_s"
        )
    for i, document in enumerate(case.conditions):
        from_s = load_condition(document).from_s
        if case.start_s < end_s <= case.start_s + from_s:
            problem = f"{from_s:g} s after the start lies behind the case's end"
            yield Finding(
                f"cases.{case.name}.conditions.{i}.from_s",
                problem,
                f"below {end_s - case.start_s:g}",
            )


def on_routes(suite: Suite, max_routes: int) -> Suite:
    """The same suite on the first so many routes of its order: a smaller run, another digest."""
    if suite.select is None:
        raise SubmitterError(
            f"suite {suite.name} has no [select]: it cannot be cut to {max_routes} routes"
        )
    if suite.enriched is not None:
        problem = "the routes that no drive was drawn on would be missing, and its rates wrong"
        finding = Finding(
            "enriched", problem, "state max_routes in its [select], or a smaller share"
        )
        raise SubmitterError(
            f"suite {suite.name} is enriched: it cannot be cut to {max_routes} routes", (finding,)
        )
    return replace(suite, select=replace(suite.select, max_routes=max_routes))
