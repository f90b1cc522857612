"""Conditions: readable predicates over a trace, judged step by step. The answer names the instant.

    [[cases.conditions]]
    name = "stays in its lane"
    judge = "must"                       # or "must_not"
    from_s = 2.0                         # window, seconds from the start of the case's own window
    to_s = 8.0
    when = { signal = "speed_mps", above = 5 }          # only these steps are judged
    always = { all = [
        { signal = "lateral_offset_m", absolute = true, below = 0.8 },
        { not = { signal = "line_crossing_s", below = 0.5, for_s = 0.2 } },
    ] }

`share = 0.95` beside `always` asks for that share of the judged steps instead of all of them. It is
for what one hiccup of the machine must not decide, such as the wall time of a step.
"""

from suites.conditions.condition import Condition, load_condition, result_name
from suites.conditions.evaluation import Judgement, judge

__all__ = ["Condition", "Judgement", "judge", "load_condition", "result_name"]
