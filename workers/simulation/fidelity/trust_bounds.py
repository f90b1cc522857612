"""From what was measured to how far a simulator is trusted.

The rule: a re-projected view is trusted as far as the error that it makes in a policy's answer is
at most TOLERANCE of the change that the offset itself makes in the true answer. Beyond, the view
may still tell an offset's sign, but not how hard to steer back. Errors and changes are pooled (root
mean square) over models, shots and both sides.
"""

import math
from collections.abc import Sequence

import numpy as np

from workers.simulation.fidelity.single_views import Response, Slip

TOLERANCE = 0.5
SLIP_MPS2 = 0.2
"""Being early or late should change nothing, so the error has its own bound: twice the codec's."""


def share_of_response(responses: Sequence[Response], source: str, axis: str) -> dict[float, float]:
    """Displacement along one axis (absolute value) to error over true change."""
    pooled: dict[float, list[Response]] = {}
    for r in responses:
        along = abs(r.by.along(axis))
        if r.source == source and along:
            pooled.setdefault(round(along, 6), []).append(r)
    return {
        along: math.sqrt(sum(r.error**2 for r in rows) / max(sum(r.true**2 for r in rows), 1e-12))
        for along, rows in sorted(pooled.items())
    }


def horizon(shares: dict[float, float], tolerance: float = TOLERANCE, least: float = 0.5) -> float:
    """Where the share crosses the tolerance, linear between what was measured.

    The largest measured displacement where it never does; 0 where it is beyond at once.
    Displacements below `least` are not looked at: so near, both are noise.
    """
    places = np.array(list(shares))
    values = np.array(list(shares.values()))
    if not len(places):
        return 0.0
    beyond = np.flatnonzero((values > tolerance) & (places > least))
    if not len(beyond):
        return float(places[-1])
    k = int(beyond[0])
    if k == 0:
        return 0.0
    slope = (values[k] - values[k - 1]) / (places[k] - places[k - 1])
    inside = (tolerance - values[k - 1]) / slope if slope > 0 else 0.0
    return float(places[k - 1] + inside)


def longitudinal(slips: Sequence[Slip], bound: float = SLIP_MPS2) -> float:
    """The distance to either side at which the pooled error reaches `bound`, as `horizon`, m."""
    pooled: dict[float, list[Slip]] = {}
    for slip in slips:
        pooled.setdefault(abs(slip.ahead_s), []).append(slip)
    errors = {}
    for _, rows in sorted(pooled.items()):
        place = float(np.mean([abs(s.ahead_m) for s in rows]))
        errors[place] = math.sqrt(float(np.mean([s.error**2 for s in rows])))
    return horizon(errors, bound, least=0.0)


def table(
    responses: Sequence[Response], slips: Sequence[Slip], sources: Sequence[str]
) -> dict[str, dict[str, float]]:
    """By source of depth: lateral m, heading degrees, longitudinal m, as measured (not rounded)."""
    along = longitudinal(slips)
    out = {}
    for source in sources:
        lateral = horizon(share_of_response(responses, source, "lateral_m"))
        turn = horizon(share_of_response(responses, source, "heading_rad"), least=0.0)
        degrees = math.degrees(turn)
        out[source] = {"lateral_m": lateral, "heading_deg": degrees, "longitudinal_m": along}
    return out
