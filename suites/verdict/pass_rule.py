"""What stands between good gates and a pass: nothing, or reasons.

A run passes at the first look where every critical gate is good and nothing here objects. Before
the last planned pair that is provisional, and it is looked at again with everything that follows.

- new spikes of each gate are bounded, gross, and do not outweigh what is mended;
- the other estimand is clearly inside 5 %, or the margin if that is more: a guard and no test;
- each declared slice has its minimum of pairs;
- at most 0.5 % of the pairs are invalid, and they do not cluster in a slice.

With all planned pairs the whole set is known. Then the exact bound on new spikes must hold on all
of it (Clopper & Pearson 1934), in a large set so that twenty checkpoints of one line together are
wrong at most as often as one test may be; and the other estimand must not lie clearly beyond its
guard. A set that is too small to bound new spikes passes unless they are shown to be more than
they may be; the sentence says what is not excluded.
"""

from scipy.stats import binom

from suites.definition.suite_schema import Suite
from suites.formatting import percent, plural, share
from suites.run_plan import RunPlan
from suites.statistics.new_spikes import allowed, quiet_pairs
from suites.statistics.sequential import SequentialJudge
from suites.verdict.tally import Tally
from suites.vocabulary import Estimand

GUARD = 0.05
"""Where the other estimand must be clearly inside, unless the margin is more."""
INVALID = 0.005
"""Largest share of pairs without valid data."""
CLUSTERED = 0.01
"""Probability below which invalid pairs of a slice are no chance."""


class PassRule:
    """Objections to a pass, as of the last look."""

    def __init__(self, suite: Suite, plan: RunPlan, judge: SequentialJudge, tally: Tally) -> None:
        self._suite = suite
        self._plan = plan
        self._judge = judge
        self._tally = tally
        self._critical = [g for g, gate in enumerate(suite.gates) if gate.critical]
        self._spiking = [g for g in self._critical if suite.gates[g].estimand is not Estimand.RATE]

    def objections(self) -> list[str]:
        """Why good gates are no pass (yet); empty if they are."""
        if not self._critical:
            return []
        return [*self._invalid(), *self._spikes(), *self._guarded(), *self._slices()]

    def contradictions(self) -> list[str]:
        """Why a pass that was given before does not stand; empty if it does."""
        if self._complete:
            return self.objections()
        return [told for g in self._spiking if (told := self._outweighing(g))][:1]

    @property
    def _complete(self) -> bool:
        return self._judge.consumed == self._plan.pairs

    def _invalid(self) -> list[str]:
        tally = self._tally
        found = []
        if tally.dropped > INVALID * tally.pairs:
            of = f"{plural(tally.dropped, 'pair')} of {tally.pairs:,}"
            found.append(f"{of} without valid data, more than {share(INVALID)}")
        elsewhere = max(INVALID, tally.dropped / max(tally.pairs, 1))
        for name, (pairs, dropped) in tally.slices.items():
            if dropped > 1 and binom.sf(dropped - 1, pairs, elsewhere) < CLUSTERED:
                found.append(f"pairs without valid data cluster in slice {name} ({dropped:,})")
        return found

    @property
    def spiking(self) -> bool:
        """New spikes are among the objections."""
        return bool(self._spikes())

    def _spikes(self) -> list[str]:
        """Of the gate that spikes most; the same pairs often spike by several."""
        found = {}
        for g in self._spiking:
            if self._judge.totals.negative[g]:
                continue
            if told := self._outweighing(g):
                found[g] = told
            elif not self._rare(g):
                found[g] = self._unbounded(g)
        if not found:
            return []
        most = max(found, key=lambda g: int(self._judge.spikes.new[g]))
        others = f"; and by {plural(len(found) - 1, 'more gate')}" if len(found) > 1 else ""
        return [found[most] + others]

    def _unbounded(self, g: int) -> str:
        spikes = self._judge.spikes
        limit = share(spikes.share, 6)
        new, pairs = int(spikes.new[g]), int(spikes.pairs[g])
        if not new and not self._complete:
            needed = quiet_pairs(spikes.share, self._suite.alpha)
            return f"new spikes are open: {needed:,} quiet pairs show them rarer than {limit}"
        if new > spikes.share * pairs:
            return f"{self._counted(g)}, more than {limit}"
        return f"{self._counted(g)}: not shown to be rarer than {limit}"

    def _outweighing(self, g: int) -> str:
        spikes = self._judge.spikes
        mended = int(spikes.mended[g])
        return f"{self._counted(g)}, more than are mended ({mended:,})" if spikes.rising[g] else ""

    def _counted(self, g: int) -> str:
        spikes = self._judge.spikes
        of = f"{plural(int(spikes.new[g]), 'pair')} of {int(spikes.pairs[g]):,}"
        return f"{self._suite.gates[g].metric} newly spikes or fails on {of}"

    def _rare(self, g: int) -> bool:
        spikes = self._judge.spikes
        if not self._complete:
            return bool(spikes.shown[g])
        new, pairs = int(spikes.new[g]), int(spikes.pairs[g])
        if new <= (self._suite.max_failed_share or 0.0) * pairs:
            return True
        return new <= allowed(pairs, self._plan.pairs, spikes.share, self._suite.alpha)

    def _guarded(self) -> list[str]:
        found = []
        for g in self._critical:
            gate = self._suite.gates[g]
            if gate.estimand is Estimand.RATE:
                continue
            low, change, high = self._judge.other_bounds(g)
            limit = max(GUARD, gate.margin)
            name = "mean" if gate.estimand is Estimand.TYPICAL else "typical drive"
            if self._complete and low > limit:
                by = f"by {percent(change, signed=False)}, clearly more than {share(limit)}"
                found.append(f"the {name} of {gate.metric} is worse {by}")
            elif not self._complete and high > limit:
                found.append(f"the {name} of {gate.metric} may be worse by {share(limit)}")
        return found

    def _slices(self) -> list[str]:
        found = []
        for part in self._suite.slices if not self._complete else ():
            pairs, dropped = self._tally.slices.get(part.name, (0, 0))
            if pairs - dropped < part.minimum:
                found.append(f"slice {part.name} has {pairs - dropped} of {part.minimum} pairs")
        return found
