"""A child process judges with the packages of the checkout that it is started in."""

from pathlib import Path

import numpy as np

from benchmarks.driven_runs import stopped
from benchmarks.failing import BESIDE, pairs_of, spread_out
from benchmarks.older_checkout import OlderCheckout
from benchmarks.passing import Harm

ROOT = Path(__file__).parents[2]


def test_this_checkout_beside_itself_says_the_same() -> None:
    rng = np.random.default_rng(0)
    b = rng.lognormal(4, 0.6, (200, 1))
    runs = [
        pairs_of(spread_out(0.1), 0.2)(rng, 1),
        BESIDE["wrong fail: short routes worse, long ones better"](rng, 2),
        Harm(np.inf, share=0.1).released(rng, b, b, 3),
    ]
    beside = OlderCheckout(ROOT)
    try:
        for simulated in runs:
            verdict, pairs = stopped(simulated)
            assert beside.stopped(simulated) == (verdict and str(verdict), pairs)
    finally:
        beside.close()
