"""What the values of a rate may be: refused before anything is judged by them."""

import numpy as np

from suites.definition.suite_schema import Gate
from suites.errors import Finding
from suites.formatting import plural
from suites.metrics.registry import METRICS
from suites.pair_table import PairTable
from suites.vocabulary import Estimand


def rate_findings(table: PairTable, gate: Gate) -> list[Finding]:
    """What is wrong with the values of a gate that judges a rate; empty for any other."""
    if gate.estimand is not Estimand.RATE:
        return []
    values = table.results[..., table.metrics.index(gate.metric)]
    known = METRICS.get(gate.metric)
    outside = (values < 0) | (values > 1)
    what, remedy = "outside [0, 1]", "judge a cost by its typical drive or its mean"
    if known is not None and known.kind == "rate" and not outside.any():
        outside = (values > 0) & (values < 1)
        what, remedy = "neither 0 nor 1", "a rate is 1 where something happened and 0 where not"
    wrong = np.flatnonzero(outside.any(axis=(0, 1)))
    if not len(wrong):
        return []
    first = values[:, :, wrong[0]][outside[:, :, wrong[0]]][0]
    problem = f"{plural(len(wrong), 'pair')} {what}, first {first:g} of {table.case_ids[wrong[0]]}"
    return [Finding(f"gates.{gate.metric}", problem, remedy)]
