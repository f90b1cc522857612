"""What a reader of a verdict by hand must know of the file and of its numbers."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from cli.cost_csv import Costs
from cli.gate_table import shown_interval
from cli.judged_columns import HIGHER, LOWER, RATE, Kind, may_be_rate
from cli.unmatched_ids import REMEDY, near_ids, near_text
from suites.formatting import plural
from suites.judgement import Verdict
from suites.pair_table import VALUE, Floats, PairTable, segment_of
from suites.vocabulary import NOT_SCORED, Estimand, Outcome


def cost_notes(
    costs: Costs, table: PairTable, models: tuple[str, str], planned: int | None
) -> tuple[str, ...]:
    """Sentences about `table`, the pairs of (candidate, baseline). `planned`: the file grows."""
    return (
        *costs.notes,
        *_columns(costs),
        *_rows(costs, table, models, planned),
        *_routes(costs, table),
        *_outcomes(table, models),
        *(note for name in costs.metrics for note in _values(costs, table, name, models)),
    )


def lacking(costs: Costs, models: tuple[str, str]) -> dict[str, int]:
    """Model to the number of segments that only the other one drove."""
    candidate, baseline = (costs.rows[name].keys() for name in models)
    return {models[0]: len(baseline - candidate), models[1]: len(candidate - baseline)}


Others = Mapping[str, tuple[float, int]]
"""Metric to the relative change of its mean over the pairs that have both values, and their number;
those of which no value lacks are left out."""


def means_of_others(table: PairTable, kinds: Mapping[str, Kind]) -> Others:
    """Where one model lacks a value somewhere; positive is worse."""
    scored = [not NOT_SCORED.intersection(outcomes) for outcomes in table.outcomes]
    table = table.rows(np.flatnonzero(scored))
    found = {}
    for metric, values in zip(table.metrics, np.moveaxis(table.results[VALUE], -1, 0), strict=True):
        finite = np.isfinite(values)
        both = values[:, finite.all(axis=0)]
        lopsided = (finite.any(axis=0) & ~finite.all(axis=0)).any()
        if lopsided and not kinds[metric].rate and both.size and both.min() >= 0 and both[1].any():
            candidate, baseline = both.mean(axis=1)
            change = float(candidate / baseline - 1)
            sign = 1 if kinds[metric].direction == "lower" else -1
            found[metric] = sign * change, both.shape[1]
    return found


def mean_notes(
    result: Verdict, others: Others, kinds: Mapping[str, Kind], caps: Mapping[str, float]
) -> Iterator[str]:
    """What the means without a cap do not say."""
    open_ended = [g for g in result.gates if g.metric not in caps and not kinds[g.metric].rate]
    means = {g.metric: shown_interval(g, Estimand.MEAN) for g in open_ended}
    if bare := [name for name, mean in means.items() if mean and mean.low < mean.high]:
        yield (
            f"The mean of {', '.join(bare)} has no cap (--cap): "
            "rare spikes that were not met yet may lie outside its interval."
        )
    for name in [name for name, mean in means.items() if not mean and name in others]:
        pairs = f"the {others[name][1]:,} pairs with both values"
        cap = f"--cap {name}=COST counts the others too"
        yield f"The mean of {name} is that of {pairs}, without an interval: {cap}."


def _columns(costs: Costs) -> Iterator[str]:
    if costs.not_judged:
        named = f"name them with {LOWER}, {HIGHER} or {RATE}"
        yield f"Not judged: {', '.join(costs.not_judged)} - {named}."
    more = [name for name, kind in costs.kinds.items() if kind.direction == "higher"]
    if more := [name for name in more if not costs.kinds[name].rate]:
        yield f"Of {', '.join(more)} more is better: a change above zero is one for the worse."


def _rows(
    costs: Costs, table: PairTable, models: tuple[str, str], planned: int | None
) -> Iterator[str]:
    """What is paired, and what is not."""
    missing = lacking(costs, models)
    if planned is None:
        yield "The file is taken as complete; judge a growing file with --planned N."
    else:
        yield (
            f"A growing file of {planned:,} pairs, taken in its order: asked again with the same "
            "options, it spends nothing twice."
        )
        if waiting := sum(missing.values()):
            yield f"{plural(waiting, 'segment')} with a row of one model only: not judged yet."
        missing = dict.fromkeys(missing, 0)
    for name, count in missing.items():
        empty = costs.not_finite[name]
        if count or empty:
            segments, values = plural(count, "segment"), plural(empty, "value")
            yield f"{name}: {segments} missing, {values} empty or not finite."
    if near := near_ids(*(costs.rows[name] for name in models)):
        unmet = plural(len(near), "segment")
        yield f"{unmet} would meet but for the spelling: {near_text(near[0], models)}; {REMEDY}."


def _routes(costs: Costs, table: PairTable) -> Iterator[str]:
    if not costs.own_routes:
        return
    own = "Segments of one drive are not independent."
    segments = {segment_of(name) for name in table.case_ids}
    if len(segments) < len(table):
        repeats = f"{len(table):,} ids are repeats (#) and offsets (@) of"
        yield f"{repeats} {plural(len(segments), 'segment')}: those of one segment are one route."
    yield f"No route column: each segment counts as a route of its own. {own}"


def _outcomes(table: PairTable, models: tuple[str, str]) -> Iterator[str]:
    """How many rollouts ended otherwise than at their end."""
    for model, name in enumerate(models):
        ended = Counter(outcomes[model] for outcomes in table.outcomes)
        told = [f"{ended[o]:,} {o}" for o in Outcome if ended[o] and o is not Outcome.COMPLETED]
        if told:
            yield f"{name}: {', '.join(told)}."


def _values(costs: Costs, table: PairTable, metric: str, models: tuple[str, str]) -> Iterator[str]:
    """What is odd about a metric's numbers."""
    values = table.results[VALUE, :, :, table.metrics.index(metric)]
    known = values[np.isfinite(values)]
    events = set(np.unique(known).tolist()) == {0.0, 1.0}
    if costs.kinds[metric].rate:
        between = (values > 0) & (values < 1)
        if between.any():
            some = f"{int(between.sum()):,} of {len(known):,} values lie between 0 and 1"
            yield f"{metric}: {some} ({_first(between, values, table, models)}): taken as shares."
    elif events and may_be_rate(metric):
        yield f"{metric} holds 0 and 1 alone: judge what happened or did not with {RATE} {metric}."
    else:
        yield from _constant(values, metric, models)
    if (below := values < 0).any():
        some = f"{plural(int(below.sum()), 'value')} below zero"
        first = _first(below, values, table, models)
        yield f"{metric}: {some} ({first}): count from a zero that means none, or leave it out."


def _constant(values: Floats, metric: str, models: tuple[str, str]) -> Iterator[str]:
    for of_model, name in zip(values, models, strict=True):
        known = of_model[np.isfinite(of_model)]
        if len(known) > 1 and np.ptp(known) == 0:
            yield f"{metric}: {name} has {known[0]:g} on all {len(known):,} segments."


def _first(marked: np.ndarray, values: Floats, table: PairTable, models: Sequence[str]) -> str:
    """The first marked value [model, pair] of the table."""
    model, pair = (int(found[0]) for found in np.nonzero(marked))
    return f"first: {values[model, pair]:g} of {models[model]} on {table.case_ids[pair]}"
