"""How the steering behaved: agreement with the human's curvature, weaving, reversals, saturation."""

import numpy as np
from scipy import signal

from suites.judgement import MetricResult
from suites.metrics.steps import Floats, column, human, invalid, over_steps, over_whole
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


def curvature_error(trace: Trace, outcome: Outcome) -> MetricResult:
    error = np.abs(column(trace, "curvature") - column(trace, "log_curvature"))
    return over_steps(trace, outcome, np.where(human(trace), error, np.nan), CURVATURE_CAP)


def open_loop_curvature_error(trace: Trace, outcome: Outcome) -> MetricResult:
    """|asked - logged| curvature on the logged poses. An *open-loop* error: it ranks models the wrong way round
    (Goff et al. 2025, table 1) and is shown, never a sensible gate."""
    if trace.feedback != "log":
        return invalid("open-loop metric of a closed-loop rollout")
    error = np.abs(column(trace, "curvature_command") - column(trace, "log_curvature"))
    return over_steps(trace, outcome, error, CURVATURE_CAP)


def _gain_and_lag(trace: Trace) -> tuple[float, float]:
    """Least-squares gain of driven on logged curvature at the lag (s, positive: the car is late) of best correlation."""
    driven, logged = column(trace, "curvature"), column(trace, "log_curvature")
    reach = round(MAX_LAG_S * trace.rate_hz)
    if not human(trace).all() or len(driven) < 4 * reach or logged.std() < MIN_CURVATURE_STD:
        return float("nan"), float("nan")
    core = slice(reach, len(logged) - reach)
    reference = logged[core] - logged[core].mean()

    def slope_and_correlation(shift: int) -> tuple[float, float]:
        moved = driven[reach + shift : len(driven) - reach + shift]
        moved = moved - moved.mean()
        product = float(reference @ moved)
        return product / float(reference @ reference), product / max(
            float(np.linalg.norm(moved)), 1e-12
        )

    if float(np.linalg.norm(reference)) < 1e-9:
        return float("nan"), float("nan")
    best = max(range(-reach, reach + 1), key=lambda shift: slope_and_correlation(shift)[1])
    return slope_and_correlation(best)[0], best / trace.rate_hz


def curvature_gain_error(trace: Trace, outcome: Outcome) -> MetricResult:
    return over_whole(trace, outcome, abs(_gain_and_lag(trace)[0] - 1), 1.0)


def curvature_lag_s(trace: Trace, outcome: Outcome) -> MetricResult:
    return over_whole(trace, outcome, abs(_gain_and_lag(trace)[1]), MAX_LAG_S)


def weaving_m(trace: Trace, outcome: Outcome) -> MetricResult:
    """Root mean square of the lateral offset between 0.1 and 1 Hz (periodogram of the linearly detrended offset)."""
    offset = column(trace, "lateral_offset_m")
    if len(offset) < trace.rate_hz / WEAVE_BAND_HZ[0] * 0.5:
        return over_whole(trace, outcome, float("nan"), 1.0)
    frequency, power = signal.periodogram(
        signal.detrend(offset), fs=trace.rate_hz, detrend=False, scaling="spectrum"
    )
    band = (frequency >= WEAVE_BAND_HZ[0]) & (frequency <= WEAVE_BAND_HZ[1])
    return over_whole(trace, outcome, float(np.sqrt(power[band].sum())), 1.0)


def reversals(angle: Floats, gap: float) -> int:
    """Direction changes of `angle` [T] whose swing is at least `gap` (SAE J2944, steering reversals)."""
    count, direction, extreme = 0, 0, float(angle[0])
    for value in angle[1:]:
        if direction == 0:
            if abs(value - extreme) >= gap:
                direction, extreme = (1 if value > extreme else -1), float(value)
        elif (value - extreme) * direction > 0:
            extreme = float(value)
        elif (extreme - value) * direction >= gap:
            count, direction, extreme = count + 1, -direction, float(value)
    return count


def steering_reversals_per_min(trace: Trace, outcome: Outcome) -> MetricResult:
    """Reversals of at least 2° at a nominal steering wheel, after a 0.6 Hz second-order low-pass (Markkula and
    Engström 2006)."""
    if len(trace) < 2 * trace.rate_hz:
        return over_whole(trace, outcome, float("nan"), 120.0)
    angle = column(trace, "curvature") * WHEEL_ANGLE_PER_CURVATURE_M
    smooth = signal.sosfiltfilt(signal.butter(2, 0.6, fs=trace.rate_hz, output="sos"), angle)
    minutes = len(trace) / trace.rate_hz / 60
    return over_whole(trace, outcome, reversals(smooth, float(REVERSAL_GAP_RAD)) / minutes, 120.0)


def saturation_share(trace: Trace, outcome: Outcome) -> MetricResult:
    return over_steps(trace, outcome, column(trace, "saturated"), 1.0)
