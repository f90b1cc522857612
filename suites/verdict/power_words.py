"""What a suite can tell, in plain words."""

from collections.abc import Iterable, Iterator

from suites.formatting import change_text, margin_text, percent, plural, points, share
from suites.statistics.chances import least_routes
from suites.statistics.gate_power import POWER, EventPower, GatePower, SuitePower, Told
from suites.verdict.sentence import SPREAD, UNCAPPED
from suites.vocabulary import Estimand


def power_lines(power: SuitePower) -> tuple[str, ...]:
    """The bank and what a pass excludes, then the gates; those that tell the same share a line."""
    excluded = f"excludes new spikes on {percent(power.spikes_below, signed=False)} of pairs"
    takes = "would take" if power.quiet_pairs > power.pairs else "takes"
    early = f"{share(power.new_spikes)} {takes} {power.quiet_pairs:,} pairs"
    bank = f"{plural(power.pairs, 'pair')} of {_size(power)}"
    gates = ((gate.metric, f"{_head(gate)}: {_gate(gate)}.") for gate in power.gates)
    return (
        f"{bank}: a pass without a new spike {excluded} and more; {early}.",
        *_together(gates, " "),
    )


def power_warnings(power: SuitePower) -> tuple[str, ...]:
    """What is to be decided before the first run: margins that so few segments rarely show."""
    least = least_routes(power.alpha)
    flipped = any(g.estimand is Estimand.TYPICAL and not g.by_cost for g in power.gates)
    if flipped and power.routes < least:
        few = f"{plural(power.routes, 'route')} tell nothing at alpha = {power.alpha:g}"
        return (f"{few}: at least {least} are needed",)
    return (*_together(_margins(power), ": "), *_slices(power))


def _together(told: Iterable[tuple[str, str]], between: str) -> Iterator[str]:
    """Metrics of which the same is told, before it."""
    metrics: dict[str, list[str]] = {}
    for metric, text in told:
        metrics.setdefault(text, []).append(metric)
    return (f"{', '.join(names)}{between}{text}" for text, names in metrics.items())


def _size(power: SuitePower) -> str:
    return f"{plural(power.segments, 'segment')} of {plural(power.routes, 'route')}"


def _head(gate: GatePower) -> str:
    margin = margin_text(gate.margin, gate.estimand is Estimand.RATE)
    named = f"({SPREAD[gate.estimand]}), margin {margin}"
    return named if gate.critical else f"{named}, advisory"


def _gate(gate: GatePower) -> str:
    if gate.by_cost:
        bank = "drawn by cost, it speaks of this bank and is certain of it once driven whole"
        return f"{bank}; how much sooner it tells depends on the baseline's stored costs"
    if gate.events is not None:
        return _rate(gate, gate.events)
    if gate.estimand is Estimand.RATE:
        least = points(gate.never_below, signed=False)
        return f"where no pair differs, equal models are shown within {least}"
    if not gate.told:
        if gate.estimand is Estimand.MEAN and not gate.capped:
            return UNCAPPED
        return "what it tells depends on the costs: run two distinct models, then ask again"
    if gate.seen:
        spikes = f", new spikes on {percent(gate.spiking, signed=False)}" if gate.spiking else ""
        return f"{_told(gate.told[0])} (spread of {gate.seen}{spikes})"
    assumed = [
        f"if routes differ by {percent(told.spread, 0, signed=False)}, it {_told(told)}"
        for told in gate.told
    ]
    return f"how models differ here is not known; {'; '.join(assumed)}"


def _rate(gate: GatePower, events: EventPower) -> str:
    """`20 events of the baseline against about 45 are found in 80 % of runs`."""
    against = f"{plural(events.baseline, 'event')} of the baseline against"
    found = f"no number of events is told from {plural(events.baseline, 'event')} of the baseline"
    if events.found is not None and events.failing is not None:
        often = f"about {events.found:,} are found in {share(POWER)} of runs"
        found = f"{against} {often}, {events.failing:,} fail in a typical one"
    shown = f"equal models are shown within {points(events.shown, signed=False)}"
    counted = f" (events of {gate.seen})" if gate.seen else ", where no pair differs"
    return f"{found}; {shown}{counted}"


def _told(told: Told) -> str:
    """A mean's figures, which have no chance, are those of a typical run."""
    often = "" if told.passes is None else f" in {share(POWER)} of runs"
    finds = "finds nothing"
    if told.found is not None:
        fails = "" if told.fails is None else f", fails {percent(told.fails)}"
        finds = f"finds {percent(told.found)}{fails}{often}"
    passes = "" if told.passes is None else f" in {chance(told.passes)}"
    shown = "at no margin"
    if told.shown is not None:
        shown = f"at a margin of {percent(told.shown, signed=False)}{often}"
    return f"{finds}; equal models pass{passes}{',' if passes else ''} {shown}"


def chance(value: float) -> str:
    """`about 83 %`, `over 99 %`."""
    if value > 0.99:
        return "over 99 %"
    return "under 1 %" if value < 0.01 else f"about {percent(value, 0, signed=False)}"


def _margins(power: SuitePower) -> Iterator[tuple[str, str]]:
    """(metric, why its margin is shown in fewer than POWER of the runs of equal models)."""
    for gate in power.gates:
        told = gate.told[0] if gate.seen and gate.told else None
        if gate.by_cost or (told is None and gate.estimand is Estimand.MEAN):
            continue
        least = told.shown if told else gate.never_below
        if least is not None and least <= gate.margin:
            continue
        what = "equal models never pass, however alike they are"
        if told and told.passes is not None:
            what = f"equal models pass in {chance(told.passes)}"
        if told and told.found is not None:
            what += f"; a change below {percent(told.found, signed=False)} is not found"
        remedy = "select more routes"
        if told and told.needed:
            remedy = f"select about {told.needed:,} segments, on as many more routes"
        rate = gate.estimand is Estimand.RATE
        if least is not None:
            remedy = f"widen it to {change_text(least, rate, signed=False)}, or {remedy}"
        margin = margin_text(gate.margin, rate)
        yield gate.metric, f"a margin of {margin} on {_size(power)}: {what}; {remedy}"


def _slices(power: SuitePower) -> Iterator[str]:
    for one in power.thin_slices:
        asked = f"of the {one.minimum} that an early pass must have seen"
        yield f"slice {one.name} has {plural(one.pairs, 'pair')} {asked}: none comes early"
