"""The costs of comma's controls challenge, over the steps that its public script scores."""

import numpy as np

from suites.metrics.steps import Floats, column
from suites.rollout import Trace

STEP_S = 0.1
LATACCEL_WEIGHT = 50.0
LATACCEL_CAP = 1e3
JERK_CAP = 1e4


def _scored(trace: Trace, name: str) -> Floats:
    """One column at the steps that are scored; nothing of it where they are too few."""
    scored = np.flatnonzero(column(trace, "cost_window") == 1)
    return column(trace, name)[scored if len(scored) >= 2 else []]


def lataccel_cost(trace: Trace) -> float:
    error = _scored(trace, "target_lataccel_mps2") - _scored(trace, "lataccel_mps2")
    return float(np.mean(error**2) * 100) if len(error) else float("nan")


def jerk_cost(trace: Trace) -> float:
    jerk = np.diff(_scored(trace, "lataccel_mps2")) / STEP_S
    return float(np.mean(jerk**2) * 100) if len(jerk) else float("nan")


def total_cost(trace: Trace) -> float:
    return LATACCEL_WEIGHT * lataccel_cost(trace) + jerk_cost(trace)
