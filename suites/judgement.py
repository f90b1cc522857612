"""What judging answers: verdicts with their reasons."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from suites.vocabulary import Estimand, MetricVerdict, RunVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Always-valid interval of the candidate's relative change, or of the difference of two rates;
    positive is worse."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GateVerdict:
    metric: str
    estimand: Estimand
    margin: float
    critical: bool
    verdict: MetricVerdict
    interval: Interval | None
    """None where nothing could be computed; `reason` says why."""
    other_estimand: Interval | None = None
    decided_at: int | None = None
    """Pairs consumed when it was decided; None while open."""
    pairs: int = 0
    routes: int = 0
    invalid: int = 0
    smallest_visible_effect: float | None = None
    """Smallest relative effect, or difference of rates, that this run could have seen with 80 %
    power."""
    candidate_mean: float = float("nan")
    baseline_mean: float = float("nan")
    candidate_events: int | None = None
    """Of a rate of 0/1 values: the pairs with 1; None where there is nothing to count."""
    baseline_events: int | None = None
    reason: str = ""
    other_t: float | None = None
    """The other estimand's change in standard errors: where it leans though nothing is shown."""
    new_spikes: int = 0
    """Pairs where the candidate newly spikes or fails, whatever it mends elsewhere."""
    mended_spikes: int = 0
    """Pairs where only the baseline does."""
    spiking: tuple[str, ...] = ()
    """The first of the pairs with new spikes."""
    spikes_below: float | None = None
    """Share of pairs that new spikes are shown to stay below; None where nothing was judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseVerdict:
    """A must-pass case: passed by its own rule over its repeats."""

    case: str
    passed: bool | None
    """None: it can't be told (left the trust region, invalid data), and the run is inconclusive."""
    reason: str = ""
    instant_s: float | None = None
    """The second where it went wrong."""
    waived: str = ""

    @property
    def failed(self) -> bool:
        """Fails the run."""
        return self.passed is False and not self.waived

    @property
    def untold(self) -> bool:
        """Keeps the run from passing, and does not fail it."""
        return self.passed is None and not self.waived


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The run's verdict; `verdict` is None until decided."""

    verdict: RunVerdict | None
    sentence: str
    gates: tuple[GateVerdict, ...] = ()
    cases: tuple[CaseVerdict, ...] = ()
    pairs_planned: int = 0
    pairs_consumed: int = 0
    """Those that the decision rests on."""
    pairs_judged: int = 0
    """All that were judged: more, where driving went on after the decision."""
    complete: bool = False
    """All planned pairs were judged. A pass before is provisional: it may merge, not promote."""
    withdrawn: str = ""
    """Why a provisional pass does not stand any more, after evidence that came later."""
    outcomes: dict[str, dict[str, int]] = field(default_factory=dict)
    """{"candidate": {outcome: count}, "baseline": {...}}: shown beside the verdict."""
    method: dict[str, Any] = field(default_factory=dict)
    """alpha, spending, flips, order seed, engine version: what is needed to judge again by hand."""


def document(verdict: Verdict) -> dict[str, Any]:
    """The verdict as JSON: numbers that don't exist are null."""
    plain: dict[str, Any] = _finite(asdict(verdict))
    return plain


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
