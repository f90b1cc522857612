"""The paired table that judging reads: results of both models on every pair, in one array.

results[field, model]:           metric 0   metric 1   ...
                         pair 0      .          .
                         pair 1      .          .          pairs stand in the registered order
                           ...

field: VALUE, LOW, HIGH        model: CANDIDATE, BASELINE
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from suites.vocabulary import Outcome

Floats = NDArray[np.float64]

VALUE, LOW, HIGH = 0, 1, 2
"""What was measured, the best and the worst that it can be; they differ in censored rollouts."""
CANDIDATE, BASELINE = 0, 1


def segment_of(case_id: str) -> str:
    """The segment that a case is driven on: `segment@offset#repeat` without what follows."""
    return case_id.split("@")[0].split("#")[0] or case_id


@dataclass(frozen=True, slots=True, kw_only=True)
class PairTable:
    """Row i is one planned rollout, driven by both models."""

    case_ids: tuple[str, ...]
    routes: tuple[str, ...]
    metrics: tuple[str, ...]
    results: Floats
    """[field, model, pair, metric]; NaN is missing or invalid."""
    outcomes: tuple[tuple[Outcome, Outcome], ...]
    """(candidate, baseline) of each pair."""
    reasons: tuple[str, ...] = ()
    """Why the candidate's rollout of each pair ended so, if anybody says."""

    @classmethod
    def completed(
        cls,
        candidate: Floats,
        baseline: Floats,
        *,
        routes: Sequence[str],
        metrics: Sequence[str],
        case_ids: Sequence[str] = (),
    ) -> "PairTable":
        """Of values [pair, metric], every rollout completed; cases are numbered if not named."""
        return cls(
            case_ids=tuple(case_ids) or tuple(f"s{i}" for i in range(len(routes))),
            routes=tuple(routes),
            metrics=tuple(metrics),
            results=np.stack([np.stack([candidate, baseline])] * 3),
            outcomes=((Outcome.COMPLETED, Outcome.COMPLETED),) * len(routes),
        )

    def __len__(self) -> int:
        """Pairs."""
        return len(self.routes)

    def rows(self, chosen: slice | NDArray[np.int64]) -> "PairTable":
        """The chosen rows, in that order; a slice ends where the table ends."""
        at = np.arange(len(self))[chosen].tolist()
        return PairTable(
            case_ids=tuple(self.case_ids[i] for i in at),
            routes=tuple(self.routes[i] for i in at),
            metrics=self.metrics,
            results=self.results.take(at, axis=2),
            outcomes=tuple(self.outcomes[i] for i in at),
            reasons=tuple(self.reasons[i] for i in at) if self.reasons else (),
        )

    def swap(self, pairs: NDArray[np.bool_] | bool = True) -> "PairTable":
        """Candidate and baseline exchanged, on all pairs or on those that are marked [pair]."""
        marked = np.broadcast_to(pairs, len(self))
        outcomes = zip(self.outcomes, marked, strict=True)
        return replace(
            self,
            reasons=(),
            results=np.where(marked[:, None], self.results[:, ::-1], self.results),
            outcomes=tuple((b, c) if exchanged else (c, b) for (c, b), exchanged in outcomes),
        )


def concat(tables: Sequence[PairTable]) -> PairTable:
    """The rows of several tables over the same metrics, one after the other."""
    told = any(t.reasons for t in tables)
    return PairTable(
        case_ids=tuple(chain(*(t.case_ids for t in tables))),
        routes=tuple(chain(*(t.routes for t in tables))),
        metrics=tables[0].metrics,
        results=np.concatenate([t.results for t in tables], axis=2),
        outcomes=tuple(chain(*(t.outcomes for t in tables))),
        reasons=tuple(chain(*(t.reasons or ("",) * len(t) for t in tables))) if told else (),
    )
