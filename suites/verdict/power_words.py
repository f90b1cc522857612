"""What a suite can tell, in plain words."""

from collections.abc import Iterator

from suites.formatting import percent, plural, share
from suites.statistics.chances import least_routes
from suites.statistics.gate_power import POWER, GatePower, SuitePower, Told
from suites.verdict.sentence import SPREAD, UNCAPPED
from suites.vocabulary import Estimand


def power_lines(power: SuitePower) -> tuple[str, ...]:
    """The bank and what a pass excludes, then each gate."""
    excluded = f"excludes new spikes on {percent(power.spikes_below, signed=False)} of pairs"
    takes = "would take" if power.quiet_pairs > power.pairs else "takes"
    early = f"{share(power.new_spikes)} {takes} {power.quiet_pairs:,} pairs"
    bank = f"{plural(power.pairs, 'pair')} of {_size(power)}"
    return (
        f"{bank}: a pass without a new spike {excluded} and more; {early}.",
        *(f"{_head(gate)}: {_gate(gate)}." for gate in power.gates),
    )


def power_warnings(power: SuitePower) -> tuple[str, ...]:
    """What is to be decided before the first run: margins that so few segments rarely show."""
    least = least_routes(power.alpha)
    if power.routes < least:
        few = f"{plural(power.routes, 'route')} tell nothing at alpha = {power.alpha:g}"
        return (f"{few}: at least {least} are needed",)
    return (*_margins(power), *_slices(power))


def _size(power: SuitePower) -> str:
    return f"{plural(power.segments, 'segment')} on {plural(power.routes, 'route')}"


def _head(gate: GatePower) -> str:
    named = f"{gate.metric} ({SPREAD[gate.estimand]}), margin {share(gate.margin)}"
    return named if gate.critical else f"{named}, advisory"


def _gate(gate: GatePower) -> str:
    if gate.estimand is Estimand.RATE:
        quiet = f"without an event, a pass excludes {percent(gate.never_below)} of pairs and more"
        alone = plural(gate.failing_events or 0, "event")
        return f"{quiet}; {alone} of the candidate alone, each on a route of its own, fail it"
    if not gate.told:
        if gate.estimand is Estimand.MEAN and not gate.capped:
            return UNCAPPED
        return "what it tells depends on the costs: run two distinct models, then ask again"
    if gate.seen:
        return f"{_told(gate.told[0])} (as {gate.seen} differ)"
    assumed = [
        f"if routes differ by {percent(told.spread, 0, signed=False)} {_told(told)}"
        for told in gate.told
    ]
    return f"how models differ here is not known; {'; '.join(assumed)}"


def _told(told: Told) -> str:
    finds = "finds no change"
    if told.found is not None:
        finds = f"finds {percent(told.found)} in {share(POWER)}"
    shown = "at no margin"
    if told.shown is not None:
        shown = f"within {percent(told.shown, signed=False)}"
    if told.passes is None:
        return f"{finds} and shows equal models {shown} in a typical run"
    return f"{finds}, equal models pass in {chance(told.passes)} (in {share(POWER)} {shown})"


def chance(value: float) -> str:
    """`about 83 %`, `over 99 %`."""
    if value > 0.99:
        return "over 99 %"
    return "under 1 %" if value < 0.01 else f"about {percent(value, 0, signed=False)}"


def _margins(power: SuitePower) -> Iterator[str]:
    for gate in power.gates:
        head = f"{gate.metric}: a margin of {share(gate.margin)} on {_size(power)}"
        told = gate.told[0] if gate.seen else None
        if gate.estimand is Estimand.MEAN and not (told and told.shown):
            continue
        least = told.shown if told else gate.never_below
        if least is not None and least <= gate.margin:
            continue
        what = "equal models do not pass"
        if told and told.passes is not None:
            what = f"equal models pass in {chance(told.passes)}"
        if told and told.found is not None:
            what += f"; a change below {percent(told.found, signed=False)} is not found"
        else:
            what += ", however alike they are"
        remedy = "select more routes"
        if least is not None:
            remedy = f"widen it to {percent(least, signed=False)}, or {remedy}"
        yield f"{head}: {what}; {remedy}"


def _slices(power: SuitePower) -> Iterator[str]:
    for one in power.thin_slices:
        yield (
            f"slice {one.name} has {plural(one.pairs, 'pair')} of the {one.minimum} "
            "that a pass is to see: it takes all of them"
        )
