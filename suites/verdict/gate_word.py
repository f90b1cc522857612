"""The word of one gate: the table "From interval to verdict"."""

from suites.definition.suite_schema import Gate
from suites.statistics.bank_engines import CLEARLY
from suites.statistics.sequential import Claims
from suites.vocabulary import Estimand, MetricVerdict

GOOD = frozenset(
    {
        MetricVerdict.BETTER,
        MetricVerdict.EQUIVALENT,
        MetricVerdict.NOT_WORSE,
        MetricVerdict.SLIGHTLY_WORSE,
    }
)
"""Words with which a critical gate lets a run pass: each says "not worse by the margin"."""


def gate_word(gate: Gate, own: Claims, other: Claims, last: bool) -> MetricVerdict:
    """What a gate says of its change, which lies in [low, high]; positive is worse.

    | Interval                                       | Word                                  |
    |------------------------------------------------|---------------------------------------|
    | high < 0                                       | better                                |
    | low > margin                                   | worse                                 |
    | 0 < low, high <= margin                        | slightly worse                        |
    | 0 < low <= margin < high                       | worse if `last`, or the gate fails    |
    |                                                | fast or counts events; cannot tell    |
    |                                                | until then                            |
    | -margin <= low <= 0 <= high <= margin          | equivalent                            |
    | low < -margin, 0 <= high <= margin             | not worse                             |
    | else                                           | cannot tell                           |
    | the two estimands decided in opposite ways     | mixed                                 |

    `own` and `other` are what is shown by the gate's estimand and by the other one. `last`: the
    bank has ended. Nothing is better while the other estimand leans towards worse, or all pairs
    together do not lie clearly below zero; nor is a typical drive, or a share, worse of open size
    unless they lie clearly above. Of rare events the nearer bound is told first: waiting would tell
    no more.
    """
    clearly = own.distance > CLEARLY or own.counted or gate.estimand is Estimand.MEAN
    at_once = gate.fail_fast or own.counted
    of_open_size = own.above_zero and not own.below_margin and clearly
    if own.above_margin or (of_open_size and (last or at_once)):
        return MetricVerdict.MIXED if other.below_zero else MetricVerdict.WORSE
    if not own.below_margin:
        return MetricVerdict.CANNOT_TELL
    if other.above_margin or (own.below_zero and other.above_zero):
        return MetricVerdict.MIXED
    if own.below_zero and own.distance < -CLEARLY and not other.leaning:
        return MetricVerdict.BETTER
    if own.above_zero and own.distance > 0:
        return MetricVerdict.SLIGHTLY_WORSE
    return MetricVerdict.EQUIVALENT if own.above_minus_margin else MetricVerdict.NOT_WORSE
