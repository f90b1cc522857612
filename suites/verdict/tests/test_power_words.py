from dataclasses import replace

from suites.statistics.gate_power import EventPower, GatePower, SliceCount, SuitePower, Told
from suites.verdict.power_words import chance, power_lines, power_warnings
from suites.verdict.sentence import UNCAPPED
from suites.vocabulary import Estimand

GATE = GatePower(
    metric="jerk_cost",
    estimand=Estimand.TYPICAL,
    margin=0.25,
    critical=True,
    capped=False,
    by_cost=False,
    never_below=0.12,
    told=(Told(spread=0.14, found=0.096, fails=0.213, shown=0.137, needed=13, passes=0.998),),
    seen="twin and baseline in run 7",
)
POWER = SuitePower(
    pairs=114,
    segments=38,
    routes=20,
    alpha=0.05,
    spikes_below=0.0311,
    new_spikes=0.0075,
    quiet_pairs=480,
    thin_slices=(),
    gates=(GATE, replace(GATE, metric="total_cost")),
)


def line(gate: GatePower) -> str:
    return power_lines(replace(POWER, gates=(gate,)))[1]


def test_the_bank_says_what_a_pass_excludes_and_gates_that_tell_the_same_share_a_line() -> None:
    assert power_lines(POWER) == (
        "114 pairs of 38 segments of 20 routes: a pass without a new spike excludes new spikes on "
        "3.1 % of pairs and more; 0.75 % would take 480 pairs.",
        "jerk_cost, total_cost (typical drive), margin 25 %: finds +9.6 %, fails +21.3 % in 80 % "
        "of runs; equal models pass in over 99 %, at a margin of 13.7 % in 80 % of runs (spread of "
        "twin and baseline in run 7).",
    )
    assert "0.75 % takes 480 pairs" in power_lines(replace(POWER, pairs=5000))[0]
    assert power_warnings(POWER) == ()
    drawn = replace(GATE, by_cost=True, margin=0.001)
    assert power_warnings(replace(POWER, routes=4, gates=(drawn,))) == ()


def test_spikes_of_the_results_are_said() -> None:
    assert "in run 7, new spikes on 0.88 %)" in line(replace(GATE, spiking=0.0088))


def test_what_is_assumed_is_said_to_be() -> None:
    told = (replace(GATE.told[0], spread=0.1), replace(GATE.told[0], spread=0.2, shown=None))
    text = line(replace(GATE, seen="", told=told, critical=False))
    assert "margin 25 %, advisory: how models differ here is not known; if routes" in text
    assert "if routes differ by 20 %, it finds +9.6 %" in text
    assert "at no margin" in text


def test_means_and_rates_say_what_is_known() -> None:
    mean = replace(GATE, estimand=Estimand.MEAN, told=())
    assert UNCAPPED in line(mean)
    assert "depends on the costs" in line(replace(mean, capped=True))
    assert "it speaks of this bank" in line(replace(GATE, by_cost=True))
    told = (Told(spread=None, found=0.2, fails=None, shown=0.3, needed=None, passes=None),)
    typical = "finds +20.0 %; equal models pass at a margin of 30.0 % (spread of"
    assert typical in line(replace(mean, capped=True, told=told))
    events = EventPower(baseline=20, failing=39, found=45, shown=0.0019)
    rate = replace(GATE, estimand=Estimand.RATE, never_below=0.0009, told=(), events=events)
    assert line(rate).endswith(
        "20 events of the baseline against about 45 are found in 80 % of runs, 39 fail in a "
        "typical one; equal models are shown within 0.19 pp (events of twin and baseline "
        "in run 7)."
    )
    none = replace(events, baseline=0, failing=None, found=None)
    nothing = line(replace(rate, events=none, seen=""))
    assert "no number of events is told from 0 events of the baseline" in nothing
    assert "are shown within 0.09 pp" in line(replace(rate, events=None))


def test_a_margin_that_is_rarely_shown_is_a_decision_to_take() -> None:
    narrow = replace(GATE, margin=0.1, told=(replace(GATE.told[0], passes=0.43, needed=62),))
    (warning,) = power_warnings(replace(POWER, gates=(narrow,)))
    assert warning == (
        "jerk_cost: a margin of 10 % on 38 segments of 20 routes: equal models pass in about 43 %; "
        "a change below 9.6 % is not found; widen it to 13.7 %, or select about 62 segments, on as "
        "many more routes"
    )
    assumed = replace(narrow, seen="", told=())
    (warning,) = power_warnings(replace(POWER, gates=(assumed,)))
    assert "never pass, however alike they are; widen it to 12.0 %" in warning
    assert power_warnings(replace(POWER, gates=(replace(assumed, margin=0.12),))) == ()
    assert power_warnings(replace(POWER, gates=(replace(assumed, never_below=None),)))[0].endswith(
        "however alike they are; select more routes"
    )
    rate = replace(assumed, estimand=Estimand.RATE, margin=0.005, never_below=0.0092)
    (warning,) = power_warnings(replace(POWER, gates=(rate,)))
    assert "a margin of 0.5 pp on" in warning
    assert "widen it to 0.92 pp" in warning
    mean = replace(assumed, estimand=Estimand.MEAN, never_below=None)
    assert power_warnings(replace(POWER, gates=(mean,))) == ()


def test_slices_and_routes_that_are_too_few_are_named() -> None:
    thin = replace(POWER, thin_slices=(SliceCount(name="night", pairs=12, minimum=20),))
    assert power_warnings(thin) == (
        "slice night has 12 pairs of the 20 that an early pass must have seen: none comes early",
    )
    few = replace(thin, routes=4)
    assert power_warnings(few) == ("4 routes tell nothing at alpha = 0.05: at least 6 are needed",)


def test_chances_are_no_more_exact_than_they_are_known() -> None:
    assert [chance(x) for x in (0.999, 0.43, 0.001)] == ["over 99 %", "about 43 %", "under 1 %"]
