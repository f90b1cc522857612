"""From a plan (where the model wants to be) to the curvature that is commanded now.

A command acts only after the actuator's delay and lag. So the plan is read from where the vehicle
will be then (`vehicle.foreseen`), as openpilot reads its desired curvature at the actuator delay
(`get_lag_adjusted_curvature`). There a cubic y(x) is fitted to the plan by least squares, and

    curvature = plan's own curvature + 2 heading error / L + 2 lateral error / L²
    L         = max(1.5 s * speed, 6 m)

The feedback terms are those of pure pursuit with look-ahead L (Coulter 1992, CMU-RI-TR-92-01),
linearised: damping 0.71 at any speed. The first term is what pure pursuit lacks: without it a bend
is cut by a share of its change.
"""

import math
from itertools import pairwise

import numpy as np
from numba import njit
from numpy.typing import NDArray

from suites.errors import Finding, SubmitterError
from workers.simulation.road.vehicle import Foreseen

Floats = NDArray[np.float64]

FIT_S = 1.0
"""Points of the plan up to so long after the command begins to act are fitted."""
LOOK_AHEAD_S, MIN_LOOK_AHEAD_M = 1.5, 6.0
MIN_SPAN_M = 2.0
"""A shorter plan has no direction: the last command stands."""
MAX_PLAN_M = 1e4
"""Plans beyond are clipped, so that an absurd plan is an absurd command and nothing worse."""


def check_times(times_s: tuple[float, ...]) -> None:
    """Raises SubmitterError for plan times that no curvature can be had from."""
    if len(times_s) < 4 or any(b <= a for a, b in pairwise(times_s)) or times_s[-1] < 1.0:
        wanted = "at least 4 increasing times, the last 1 s or later, expected"
        finding = Finding("action.plan_times_s", f"{wanted}; found {list(times_s)}")
        raise SubmitterError("the plan's times give no curvature", (finding,))


def curvature_of_plan(
    plan: Floats, times_s: Floats, speed_mps: Floats, ahead: Foreseen, last: Floats
) -> Floats:
    """[B] 1/m. plan [B, P, 2] m, ego frame, finite; times_s [P]; last [B]: the last command."""
    out = np.empty(len(plan))
    points = np.clip(plan, -MAX_PLAN_M, MAX_PLAN_M)
    _curvature(points, times_s, speed_mps, ahead, last, out)
    return out


def lateral_at(plan: Floats, times_s: Floats, when_s: float) -> Floats:
    """[B] y of the plan at a time, m, linear between its points; NaN beyond them."""
    k = int(np.searchsorted(times_s, when_s, side="right")) - 1
    if k < 0 or when_s > times_s[-1]:
        return np.full(len(plan), np.nan)
    if k == len(times_s) - 1:
        return np.array(plan[:, k, 1], np.float64)
    share = (when_s - times_s[k]) / (times_s[k + 1] - times_s[k])
    return np.asarray(plan[:, k, 1] + share * (plan[:, k + 1, 1] - plan[:, k, 1]))


@njit(cache=True)
def _curvature(plan, times, speed, ahead, last, out):  # type: ignore[no-untyped-def]
    points = plan.shape[1]
    for r in range(len(out)):
        x0, y0 = ahead.x_m[r], ahead.y_m[r]
        cos, sin = math.cos(ahead.yaw_rad[r]), math.sin(ahead.yaw_rad[r])
        use = 0
        while use < points and (use < 4 or times[use] <= ahead.time_s[r] + FIT_S):
            use += 1
        far = 0.0
        for p in range(use):
            far = max(far, abs(plan[r, p, 0] - x0))
        if far < MIN_SPAN_M:
            out[r] = last[r]
            continue
        # Normal equations of y = a + b u + c u² + d u³ with u = x / far, and a trace of a ridge for
        # plans on one spot.
        matrix = np.zeros((4, 4))
        right = np.zeros(4)
        for p in range(use):
            dx, dy = plan[r, p, 0] - x0, plan[r, p, 1] - y0
            u = (dx * cos + dy * sin) / far
            v = dy * cos - dx * sin
            power = np.array([1.0, u, u * u, u * u * u])
            for i in range(4):
                right[i] += power[i] * v
                for j in range(4):
                    matrix[i, j] += power[i] * power[j]
        for i in range(4):
            matrix[i, i] += 1e-9 * use
        _solve(matrix, right)
        error = right[0]
        slope = right[1] / far
        bend = 2.0 * right[2] / (far * far)
        steep = 1.0 + slope * slope
        look = max(LOOK_AHEAD_S * speed[r], MIN_LOOK_AHEAD_M)
        out[r] = (
            bend / (steep * math.sqrt(steep))
            + 2.0 * math.atan(slope) / look
            + 2.0 * error / (look * look)
        )


@njit(cache=True)
def _solve(matrix, right):  # type: ignore[no-untyped-def]
    """Cholesky of a small positive definite system; the solution replaces `right`."""
    n = len(right)
    for i in range(n):
        for j in range(i + 1):
            s = matrix[i, j]
            for k in range(j):
                s -= matrix[i, k] * matrix[j, k]
            matrix[i, j] = math.sqrt(max(s, 1e-300)) if i == j else s / matrix[j, j]
    for i in range(n):
        for k in range(i):
            right[i] -= matrix[i, k] * right[k]
        right[i] /= matrix[i, i]
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            right[i] -= matrix[k, i] * right[k]
        right[i] /= matrix[i, i]
