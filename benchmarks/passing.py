"""Passes: how soon equal models pass a set of 5,000 segments, and what passes wrongly.

A harm makes the candidate newly worse on 1 % of the segments, places that nobody knows before; at
the same time the candidate may mend old spikes of the baseline, ten times as costly as its other
segments, on one to three times as many.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks.driven_runs import Row, SimulatedRun, Simulation, stopped, to_the_end
from benchmarks.simulated_pairs import CAP, Floats, costs, real_costs, suite_of, swapped, table_of
from suites.vocabulary import Outcome, RunVerdict

Bools = np.ndarray[Any, np.dtype[np.bool_]]

SET = 5000
MARGIN = 0.02
LINE = 20
"""Checkpoints of one line that are tried on the same set."""


def equal(rng: np.random.Generator, kind: str) -> tuple[Floats, Floats]:
    """Costs [SET, 1] of two near-equal models, labels swapped, in a random order.

    The one newly spikes on 0.07 % of them (`real`), 0.3 % (`simulated`, as much as any real
    near-equal pair) or 0.1 % (`simulated, few spikes`).
    """
    if kind == "real":
        c, b = swapped(rng, *real_costs("ff_a", "ff_b"))
        order = rng.permutation(len(c))[:SET]
        return c[order], b[order]
    c, b = costs(rng, SET, own_spikes=0.001 if kind.endswith("few spikes") else 0.005)
    return swapped(rng, c, b)


@dataclass(frozen=True, slots=True)
class Harm:
    """What a release breaks, and what it mends."""

    factor: float
    """Its cost on what it breaks; inf: it crashes there and costs as much as the cap."""
    mended: float = 0.0
    """As many old spikes are mended."""
    share: float = 0.01

    def released(self, rng: np.random.Generator, c: Floats, b: Floats, seed: int) -> SimulatedRun:
        """The run of such a release over pairs [n, 1] of equal models."""
        broken: Bools = np.asarray(rng.random(c.shape) < self.share)
        old = ~broken & (rng.random(c.shape) < self.share * self.mended)
        b = np.where(old, 10 * b, b)
        return self.broken(broken, c, b, seed)

    def broken(self, broken: Bools, c: Floats, b: Floats, seed: int) -> SimulatedRun:
        """The same where the broken places are given, and the baseline's spikes are there."""
        crashes = np.isinf(self.factor)
        worse = np.maximum(c, CAP) if crashes else self.factor * c
        table = table_of(np.where(broken, worse, c), b)
        if crashes:
            ended = (Outcome.COMPLETED, Outcome.FAILED)
            outcomes = tuple((ended[int(one)], ended[0]) for one in broken[:, 0])
            table = replace(table, outcomes=outcomes)
        return SimulatedRun(table, suite_of([MARGIN], seed))


def equal_models(kind: str) -> Simulation:
    """How often, and after how many segments, equal models pass."""

    def run(rng: np.random.Generator, seed: int) -> Row:
        c, b = equal(rng, kind)
        verdict, pairs = stopped(SimulatedRun(table_of(c, b), suite_of([MARGIN], seed)))
        return {"pass": verdict is RunVerdict.PASS, "segments": pairs}

    return run


def evenly_worse(kind: str) -> Simulation:
    """A candidate that is worse by the margin on every segment."""

    def run(rng: np.random.Generator, seed: int) -> Row:
        c, b = equal(rng, kind)
        c = c * (2 + MARGIN) / (2 - MARGIN)
        return _passes(SimulatedRun(table_of(c, b), suite_of([MARGIN], seed)))

    return run


def harmful(kind: str, harm: Harm) -> Simulation:
    """How often a release with a rare harm ever passes, and how often the whole set passes it."""

    def run(rng: np.random.Generator, seed: int) -> Row:
        return _passes(harm.released(rng, *equal(rng, kind), seed))

    return run


def _passes(simulated: SimulatedRun) -> Row:
    ended = to_the_end(simulated)
    return {"early pass": ended.early, "complete pass": ended.verdict is RunVerdict.PASS}


def resubmitted(kind: str, harm: Harm) -> Simulation:
    """A line of 20 checkpoints on one set: each breaks other places and has noise of its own.

    The baseline's costs are those of the set. A checkpoint's noise is a fresh draw of the relative
    differences of two near-equal models over the segments.
    """

    def run(rng: np.random.Generator, seed: int) -> Row:
        _, b = equal(rng, kind)
        old = rng.random(b.shape) < harm.share * harm.mended
        early, complete = [], []
        for number in range(LINE):
            one, other = equal(rng, kind)
            c = b * one / other
            broken: Bools = np.asarray(~old & (rng.random(b.shape) < harm.share))
            order = rng.permutation(len(b))
            spiking = np.where(old, 10 * b, b)
            simulated = harm.broken(broken[order], c[order], spiking[order], LINE * seed + number)
            passes = _passes(simulated)
            early.append(passes["early pass"])
            complete.append(passes["complete pass"])
        return {
            "any early pass": any(early),
            "any complete pass": any(complete),
            "early passes of 20": sum(early),
        }

    return run


HARMS = {
    **{f"x {factor}": Harm(factor) for factor in (3, 5, 10, 30)},
    "crash": Harm(np.inf),
    **{f"x 10, {n} x as many mended": Harm(10, n) for n in (1, 2, 3)},
    **{f"x 3, {n} x as many mended": Harm(3, n) for n in (1, 2, 3)},
}

PASSING: dict[str, tuple[Simulation, float]] = {
    **{
        f"equal models pass, {kind}": (equal_models(kind), 0.5)
        for kind in ("real", "simulated, few spikes", "simulated")
    },
    "worse by the margin evenly, real": (evenly_worse("real"), 0.25),
    **{
        f"1 % of segments {name}, {kind}": (harmful(kind, harm), 0.5)
        for kind in ("real", "simulated")
        for name, harm in HARMS.items()
    },
    "0.5 % of segments x 10, 2 x as many mended, real": (harmful("real", Harm(10, 2, 0.005)), 0.25),
    **{
        f"{LINE} of a line: 1 % {name}, {kind}": (resubmitted(kind, HARMS[name]), 0.1)
        for name, kind in (
            ("x 3", "real"),
            ("x 3, 2 x as many mended", "real"),
            ("x 3, 2 x as many mended", "simulated"),
            ("x 10, 2 x as many mended", "real"),
            ("crash", "real"),
        )
    },
}
"""Name to (one simulated run, share of --runs)."""
