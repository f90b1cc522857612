"""How the rollouts of a run ended, and whether the candidate fails on more routes."""

from collections import Counter

import numpy as np

from suites.definition.suite_schema import Suite
from suites.formatting import plural, share
from suites.pair_table import BASELINE, CANDIDATE, PairTable, segment_of
from suites.run_plan import RunPlan
from suites.statistics.rates import label_e_value
from suites.vocabulary import FAILING, NOT_SCORED


class Tally:
    """Counts over all pairs consumed; tuples are (candidate, baseline)."""

    def __init__(self, suite: Suite, plan: RunPlan) -> None:
        self._suite = suite
        self._plan = plan
        self.pairs = 0
        self.slices = dict.fromkeys(plan.slices, (0, 0))
        """Declared slice to its pairs, and to those among them without valid data."""
        self.segments: set[str] = set()
        self.routes: set[str] = set()
        self.dropped = 0
        """Pairs without valid data, which count neither as segments nor as routes."""
        self.outcomes = Counter[str](), Counter[str]()
        self.identical = True
        """Both models had the same outcome and the same results on every pair."""
        self._failed_routes: tuple[set[str], set[str]] = (set(), set())

    def count(self, block: PairTable) -> None:
        """Takes the next pairs."""
        self.pairs += len(block)
        rows = zip(block.case_ids, block.routes, block.outcomes, strict=True)
        for case_id, route, outcomes in rows:
            segment = segment_of(case_id)
            dropped = bool(NOT_SCORED.intersection(outcomes))
            for name, segments in self._plan.slices.items():
                if segment in segments:
                    pairs, invalid = self.slices[name]
                    self.slices[name] = pairs + 1, invalid + dropped
            if dropped:
                self.dropped += 1
            else:
                self.segments.add(segment)
                self.routes.add(route)
            for model, outcome in enumerate(outcomes):
                self.outcomes[model][str(outcome)] += 1
                if outcome in FAILING:
                    self._failed_routes[model].add(route)
            self.identical &= outcomes[CANDIDATE] == outcomes[BASELINE]
        columns = [block.metrics.index(gate.metric) for gate in self._suite.gates]
        candidate, baseline = block.results.swapaxes(0, 1)[..., columns]
        self.identical &= np.array_equal(candidate, baseline, equal_nan=True)

    @property
    def failed_alone(self) -> tuple[int, int]:
        """Routes that failed for the candidate only and for the baseline only."""
        candidate, baseline = self._failed_routes
        return len(candidate - baseline), len(baseline - candidate)

    @property
    def e_value(self) -> float:
        """Evidence that the routes which failed for one model only are no fair coin."""
        return label_e_value(*self.failed_alone)

    def failing(self, planned: int) -> str:
        """Why the candidate's failures fail a run of `planned` pairs; empty if they do not."""
        limit = self._suite.max_failed_share
        if limit is not None:
            failures = sum(self.outcomes[CANDIDATE][outcome] for outcome in FAILING)
            if failures <= limit * planned:
                return ""
            excess = f"more than {share(limit, 6)} of {planned:,}"
            return f"the candidate failed on {plural(failures, 'rollout')}, {excess}"
        candidate, baseline = self.failed_alone
        if candidate <= baseline or self.e_value < 1 / self._suite.alpha:
            return ""
        routes = plural(candidate, "route")
        reverse = f"the reverse on {baseline}"
        return f"the candidate failed on {routes} where the baseline did not ({reverse})"
