"""How the steering behaved: agreement with the human's curvature, weaving, reversals."""

import numpy as np
from scipy import signal

from suites.metrics.result import MetricResult, invalid
from suites.metrics.steps import Floats, column, human, mean_of
from suites.rollout import Trace
from suites.vocabulary import Outcome

CURVATURE_CAP = 0.02
"""1/m."""
MAX_LAG_S = 1.0
MIN_CURVATURE_STD = 5e-4
"""1/m: below it the human hardly steered and neither gain nor lag can be told."""
WEAVE_BAND_HZ = (0.1, 1.0)
WHEEL_ANGLE_PER_CURVATURE_M = 2.7 * 15.0
"""Nominal wheelbase times steering ratio: one reversal means the same on every car."""
REVERSAL_GAP_RAD = np.radians(2.0)


def curvature_error(trace: Trace) -> Floats:
    """[T] difference from the human's curvature; NaN where no human drove."""
    error = np.abs(column(trace, "curvature") - column(trace, "log_curvature"))
    return np.where(human(trace), error, np.nan)


def open_loop_curvature_error(trace: Trace, outcome: Outcome, cap: float) -> MetricResult:
    """Mean of |asked - logged| curvature on the logged poses.

    An *open-loop* error ranks models the wrong way round (Goff et al. 2025, table 1): it is shown,
    and never a sensible gate.
    """
    if trace.feedback != "log":
        return invalid("open-loop metric of a closed-loop rollout")
    return mean_of(_asked_error)(trace, outcome, cap)


def _asked_error(trace: Trace) -> Floats:
    return np.abs(column(trace, "curvature_command") - column(trace, "log_curvature"))


def _gain_and_lag(trace: Trace) -> tuple[float, float]:
    """Gain and lag (s, positive: the car is late) of driven on logged curvature.

    The lag is that of the best correlation, the gain the least-squares slope there.
    """
    driven = column(trace, "curvature")
    logged = column(trace, "log_curvature")
    unknown = (float("nan"), float("nan"))
    reach = round(MAX_LAG_S * trace.rate_hz)
    if not human(trace).all() or len(driven) < 4 * reach or logged.std() < MIN_CURVATURE_STD:
        return unknown
    core = slice(reach, len(logged) - reach)
    reference = logged[core] - logged[core].mean()
    if float(np.linalg.norm(reference)) < 1e-9:
        return unknown

    def slope_and_correlation(shift: int) -> tuple[float, float]:
        moved = driven[reach + shift : len(driven) - reach + shift]
        moved = moved - moved.mean()
        product = float(reference @ moved)
        length = max(float(np.linalg.norm(moved)), 1e-12)
        return product / float(reference @ reference), product / length

    best = max(range(-reach, reach + 1), key=lambda shift: slope_and_correlation(shift)[1])
    return slope_and_correlation(best)[0], best / trace.rate_hz


def curvature_gain_error(trace: Trace) -> float:
    return abs(_gain_and_lag(trace)[0] - 1)


def curvature_lag_s(trace: Trace) -> float:
    return abs(_gain_and_lag(trace)[1])


def weaving_m(trace: Trace) -> float:
    """Root mean square of the lateral offset between 0.1 and 1 Hz, by its detrended periodogram."""
    offset = column(trace, "lateral_offset_m")
    if len(offset) < trace.rate_hz / WEAVE_BAND_HZ[0] * 0.5:  # half a period of the slowest
        return float("nan")
    frequency, power = signal.periodogram(
        signal.detrend(offset), fs=trace.rate_hz, detrend=False, scaling="spectrum"
    )
    band = (frequency >= WEAVE_BAND_HZ[0]) & (frequency <= WEAVE_BAND_HZ[1])
    return float(np.sqrt(power[band].sum()))


def reversals(angle: Floats, gap: float) -> int:
    """Direction changes of `angle` [T] whose swing is at least `gap` (SAE J2944)."""
    count = 0
    direction = 0
    extreme = float(angle[0])
    for value in angle[1:]:
        if direction == 0:
            if abs(value - extreme) >= gap:
                direction = 1 if value > extreme else -1
                extreme = float(value)
        elif (value - extreme) * direction > 0:
            extreme = float(value)
        elif (extreme - value) * direction >= gap:
            count += 1
            direction = -direction
            extreme = float(value)
    return count


def steering_reversals_per_min(trace: Trace) -> float:
    """Reversals of at least 2° at a nominal steering wheel.

    After a 0.6 Hz second-order low-pass (Markkula and Engström 2006).
    """
    if len(trace) < 2 * trace.rate_hz:
        return float("nan")
    angle = column(trace, "curvature") * WHEEL_ANGLE_PER_CURVATURE_M
    smooth = signal.sosfiltfilt(signal.butter(2, 0.6, fs=trace.rate_hz, output="sos"), angle)
    minutes = len(trace) / trace.rate_hz / 60
    return reversals(smooth, float(REVERSAL_GAP_RAD)) / minutes


def saturated(trace: Trace) -> Floats:
    return column(trace, "saturated")
