"""The figures by themselves: likeness, trust from shares, agreement of loops, the probe."""

import math

import numpy as np
import pytest

from workers.simulation.fidelity import artifact_probe as probe
from workers.simulation.fidelity import loop_agreement as loop
from workers.simulation.fidelity import trust_bounds as trust
from workers.simulation.fidelity.likeness import psnr, ssim
from workers.simulation.fidelity.loop_agreement import Driven, Table
from workers.simulation.fidelity.shots import Displacement
from workers.simulation.fidelity.single_views import Response, Slip


def test_psnr_and_ssim_of_known_pictures() -> None:
    rng = np.random.default_rng(1)
    a = rng.integers(60, 200, (40, 60, 3), np.uint8)
    assert psnr(a, a) == 100.0
    assert psnr(a, a + np.uint8(5)) == pytest.approx(20 * math.log10(255 / 5))
    assert ssim(a, a) == pytest.approx(1.0)
    brighter, scrambled = a + np.uint8(20), rng.permutation(a.reshape(-1, 3)).reshape(a.shape)
    assert psnr(a, brighter) < 25
    assert ssim(a, brighter) > 0.9 > 0.2 > ssim(a, scrambled)  # structure, not brightness


def response(
    lateral: float, error: float, true: float, source: str = "s", heading: float = 0.0
) -> Response:
    by = Displacement(lateral_m=lateral, heading_rad=heading)
    return Response(by=by, source=source, model="m", error=error, bias=0.0, true=true)


def test_the_horizon_is_where_the_error_crosses_half_of_the_change() -> None:
    rows = [
        response(s * x, error, 1.0)
        for s in (1, -1)
        for x, error in ((0.5, 0.9), (1.0, 0.2), (2.0, 0.3), (3.0, 0.8))
    ]
    rows += [response(1.0, 9.0, 1.0, source="other"), response(1.0, 9.0, 1.0, heading=0.1)]
    shares = trust.share_of_response(rows, "s", "lateral_m")
    assert shares == pytest.approx({0.5: 0.9, 1.0: 0.2, 2.0: 0.3, 3.0: 0.8})
    assert trust.horizon(shares) == pytest.approx(2.4)  # so near as 0.5 m is not looked at
    assert trust.horizon({1.0: 0.2, 4.0: 0.4}) == 4.0  # no farther than what was measured
    assert trust.horizon({1.0: 0.7, 2.0: 0.2}) == 0.0
    assert trust.horizon({}) == 0.0


def test_both_sides_and_all_models_are_pooled() -> None:
    shares = trust.share_of_response(
        [response(1.0, 3.0, 1.0), response(-1.0, 4.0, 7.0)], "s", "lateral_m"
    )
    assert shares == pytest.approx({1.0: math.sqrt(25 / 50)})


def test_being_early_or_late_is_trusted_until_moving_things_cost_too_much() -> None:
    rows = [
        Slip(ahead_s=s, ahead_m=20 * s, model="m", error=error)
        for s, error in ((0.25, 0.1), (-0.25, 0.1), (0.5, 0.3), (1.0, 0.0))
    ]
    assert trust.longitudinal(rows) == pytest.approx(7.5)


def table(costs: dict[str, list[float]], failed: bool = False) -> Table:
    """Costs by model, one a route."""
    return {
        (model, f"r{k}/0", 0.5): Driven(
            failed=failed and k == 0, cost_m=cost, lateral_m=np.full(10, cost)
        )
        for model, row in costs.items()
        for k, cost in enumerate(row)
    }


def test_loops_that_come_to_the_same_agree_and_others_do_not() -> None:
    truth = table({"good": [0.1, 0.12, 0.11, 0.1], "bad": [0.5, 0.6, 0.55, 0.5]}, failed=True)
    same = loop.agreement("x", truth, truth)
    assert same.failures_agree == 1.0
    assert same.path_difference_m == 0.0
    assert same.ranking == same.ranking_rendered == ("good", "bad")
    assert same.verdicts == {"bad against good": ("worse", "worse")}
    other = loop.agreement(
        "x", truth, table({"good": [0.5, 0.6, 0.55, 0.5], "bad": [0.1, 0.12, 0.11, 0.1]})
    )
    assert (other.failures_rendered, other.failures) == (2, 0)
    assert other.failures_agree == 0.75
    assert other.failures_agree_by_offset == {0.5: 0.75}
    assert other.ranking == ("bad", "good")
    assert other.verdicts_agree == 0.0
    assert other.path_difference_m == pytest.approx(
        math.sqrt(np.mean([0.4**2, 0.48**2, 0.44**2, 0.4**2]))
    )
    assert other.cost_correlation < -0.9


def test_segments_of_one_route_are_no_independent_evidence() -> None:
    rows = {("a", f"r{k // 9}/{k}", 0.0): 0.5 + 0.3 * (k >= 9) for k in range(18)}
    both = {k: Driven(failed=False, cost_m=v, lateral_m=np.zeros(1)) for k, v in rows.items()}
    both |= {
        ("b", segment, o): Driven(failed=False, cost_m=0.0, lateral_m=np.zeros(1))
        for _, segment, o in rows
    }
    assert loop.verdict(both, "a", "b") == "undecided"  # 0.5 and 0.8: two routes, not eighteen


def test_the_probe_reads_what_is_there_and_nothing_else() -> None:
    rng = np.random.default_rng(2)
    groups, offset = np.repeat(np.arange(30), 40), rng.uniform(-1, 1, 1200)
    noise = rng.normal(size=(1200, 40))
    train = groups < 20
    assert abs(probe._held_out_r2(noise, offset, train, groups)) < 0.05
    noise[:, 7] += 2.0 * offset
    assert probe._held_out_r2(noise, offset, train, groups) == pytest.approx(
        4 / 3 / (4 / 3 + 1), abs=0.08
    )
