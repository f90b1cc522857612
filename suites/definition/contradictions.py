"""What a suite's fields may not be together: a list of small rules, in the order of reading."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from math import isclose
from typing import TypeVar

from suites.conditions import load_condition
from suites.definition.cost_draw import draw_contradictions
from suites.definition.enrichment import enrichment_contradictions
from suites.definition.selector import selector_contradictions
from suites.definition.suite_schema import CaseSpec, Gate, Suite, offset_name
from suites.errors import Finding, SubmitterError
from suites.metrics.registry import METRICS, Metric
from suites.rollout import Noise
from suites.simulators import SIMULATORS
from suites.vocabulary import Estimand

T = TypeVar("T", bound=Hashable)


def contradictions(suite: Suite) -> Iterator[Finding]:
    """Everything that is wrong with a suite beyond its single fields."""
    for rule in RULES:
        yield from rule(suite)


def _selection(suite: Suite) -> Iterator[Finding]:
    if suite.select is None:
        return
    yield from selector_contradictions(suite.select)
    wanted = SIMULATORS[suite.simulator.name].segments
    if suite.select.kind != wanted:
        drives = f"{suite.simulator.name} drives {wanted} segments"
        problem = f"{drives}, the suite takes {suite.select.kind}"
        yield Finding("select.kind", problem, f'kind = "{wanted}", or another simulator')


def _window(suite: Suite) -> Iterator[Finding]:
    if suite.end_s is not None and suite.end_s <= suite.start_s:
        problem = f"the window {suite.start_s:g} to {suite.end_s:g} s is empty"
        yield Finding("end_s", problem, "make end_s larger")


def _content(suite: Suite) -> Iterator[Finding]:
    if suite.select is None and not suite.cases:
        yield Finding("select", "the suite selects nothing", "add [select] or [[cases]]")
    if suite.kind == "specific" and not suite.cases:
        remedy = "add [[cases]], or make its kind overall"
        yield Finding("cases", "a specific suite has no case", remedy)
    # The pairs of an enriched suite are judged by no gate.
    judged = suite.kind == "overall" and suite.select is not None and suite.enriched is None
    if judged and not suite.gates:
        remedy = "add [[gates]] with a metric and a margin"
        yield Finding("gates", "an overall suite has no gate", remedy)


def _offset_weights(suite: Suite) -> Iterator[Finding]:
    weights = suite.offset_weights
    if not suite.offsets:
        yield Finding("offsets", "there is none", "offsets = [{}] starts on the human's path")
    if not weights:
        return
    if len(weights) != len(suite.offsets):
        problem = f"{len(weights)} probabilities for {len(suite.offsets)} offsets"
        yield Finding("offset_weights", problem, "give one for each offset, in their order")
    elif not isclose(sum(weights), 1, abs_tol=1e-6):
        problem = f"they add up to {sum(weights):g}"
        yield Finding("offset_weights", problem, "make the sum of the probabilities 1")


def _enrichment(suite: Suite) -> Iterator[Finding]:
    if suite.enriched is None:
        return
    if suite.select is None:
        yield Finding("enriched", "the suite selects nothing to draw from", "add [select]")
    judged = {"gates": bool(suite.gates), "max_failed_share": suite.max_failed_share is not None}
    yield from enrichment_contradictions(
        suite.enriched, suite.offset_weights, len(suite.offsets), judged
    )


def _same_offsets(suite: Suite) -> Iterator[Finding]:
    for name in sorted({offset_name(offset) for offset in _repeated(suite.offsets)}):
        yield Finding("offsets", f"{name} is given twice", "keep one of them")


def _gates(suite: Suite) -> Iterator[Finding]:
    for i, gate in enumerate(suite.gates):
        if gate.metric not in METRICS:
            problem = f"no metric is named {gate.metric!r}"
            yield Finding(f"gates.{i}.metric", problem, f"one of {', '.join(METRICS)}")
        uncapped = gate.winsor_cap is None and gate.relative_cap is None
        if gate.estimand is Estimand.MEAN and uncapped and suite.draw != "cost":
            yield Finding(
                f"gates.{i}.winsor_cap",
                "the mean can never be shown to be not worse without a cap: "
                "rare spikes could outweigh anything seen",
                "declare the largest cost that counts, relative_cap where the baseline's costs are "
                "stored, or judge the typical drive",
            )
    for metric, estimand in sorted(_repeated((g.metric, g.estimand) for g in suite.gates)):
        problem = f"two gates judge {metric} by the {estimand}"
        yield Finding("gates", problem, "keep one margin for each")


def _gate_kinds(suite: Suite) -> Iterator[Finding]:
    for i, gate in enumerate(suite.gates):
        if gate.metric in METRICS:
            yield from _kind(gate, METRICS[gate.metric], f"gates.{i}")


def _kind(gate: Gate, metric: Metric, where: str) -> Iterator[Finding]:
    """A rate is judged as a rate, and nothing else is but shares; the registry knows the way."""
    rate = gate.estimand is Estimand.RATE
    if metric.kind == "rate" and not rate:
        problem = f"{gate.metric} is 1 or 0: a relative change of it says nothing"
        remedy = 'estimand = "rate" with an absolute margin, e.g. margin = 0.005'
        yield Finding(f"{where}.estimand", problem, remedy)
    if rate and metric.kind != "rate" and not metric.share:
        problem = f"{gate.metric} is neither 0 or 1 nor a share: it has no rate"
        yield Finding(f"{where}.estimand", problem, 'estimand = "typical", or "mean" with a cap')
    if rate and gate.margin >= 1:
        problem = f"a rate cannot differ by {gate.margin:g}: it lies in [0, 1]"
        yield Finding(f"{where}.margin", problem, "e.g. margin = 0.005: 5 more in 1,000 pairs")
    for name in ("winsor_cap", "relative_cap"):
        if rate and getattr(gate, name) is not None:
            problem = "a rate lies in [0, 1]: nothing of it is cut"
            yield Finding(f"{where}.{name}", problem, "drop it")
    if gate.direction not in (None, metric.direction):
        problem = f"{gate.metric} is a {metric.kind}: {metric.direction} is better"
        yield Finding(f"{where}.direction", problem, "drop it: it is for metrics of your own")


def _slices(suite: Suite) -> Iterator[Finding]:
    for name in sorted(_repeated(part.name for part in suite.slices)):
        yield Finding("slices", f"two slices are named {name!r}", "rename one")
    if suite.slices and (suite.select is None or not suite.gates):
        problem = "a slice is a part of what [select] chooses and [[gates]] judge; one is missing"
        yield Finding("slices", problem, "add it, or drop the slices")


def _case_names(suite: Suite) -> Iterator[Finding]:
    for name in sorted(_repeated(case.name for case in suite.cases)):
        yield Finding("cases", f"two cases are named {name!r}", "rename one")


def _cases(suite: Suite) -> Iterator[Finding]:
    for case in suite.cases:
        yield from _case(case, f"cases.{case.name}")


def _case(case: CaseSpec, where: str) -> Iterator[Finding]:
    if case.end_s is not None and case.end_s <= case.start_s:
        yield Finding(where, "its window ends before it starts", "make end_s larger than start_s")
    if case.must_pass_repeats is not None and case.must_pass_repeats > case.repeats:
        problem = f"{case.must_pass_repeats} of {case.repeats} repeats must pass"
        yield Finding(f"{where}.must_pass_repeats", problem, f"at most {case.repeats}")
    if case.repeats > 1 and case.noise == Noise():
        remedy = "declare noise, or drive it once"
        yield Finding(f"{where}.repeats", "repeats without noise are copies", remedy)
    for i, condition in enumerate(case.conditions):
        try:
            load_condition(condition, f"{where}.conditions.{i}")
        except SubmitterError as error:
            yield from error.findings


def _repeated(values: Iterable[T]) -> set[T]:
    return {value for value, count in Counter(values).items() if count > 1}


RULES: tuple[Callable[[Suite], Iterator[Finding]], ...] = (
    _selection,
    _window,
    _content,
    _offset_weights,
    _enrichment,
    draw_contradictions,
    _same_offsets,
    _gates,
    _gate_kinds,
    _slices,
    _case_names,
    _cases,
)
