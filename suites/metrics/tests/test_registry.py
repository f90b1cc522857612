"""A metric is its function and its entry in the registry."""

import numpy as np
import pytest

from suites.metrics import measure
from suites.metrics.registry import METRICS, Metric
from suites.metrics.steps import column, mean_of
from suites.metrics.tests.test_metrics import drive
from suites.rollout import TRACE_COLUMNS
from suites.vocabulary import Outcome


def test_every_metric_names_real_columns() -> None:
    for metric in METRICS.values():
        assert set(metric.needs) <= TRACE_COLUMNS.keys(), metric.name
        assert metric.description
        assert metric.unit


def test_a_new_metric_is_measured_capped_and_censored(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recipe: nothing but the entry; cap, validity and bounds come with it."""
    entry = Metric(
        unit="m/s",
        description="Mean speed",
        cap=40.0,
        needs=("speed_mps",),
        measure=mean_of(lambda trace: column(trace, "speed_mps")),
    )
    monkeypatch.setitem(METRICS, "speed_mean_mps", entry)
    half = drive(steps=200, planned=400)  # 20 m/s

    def of(outcome: Outcome) -> tuple[float, float, float]:
        result = measure(half, outcome)["speed_mean_mps"]
        return result.value, result.low, result.high

    assert of(Outcome.COMPLETED) == (20.0, 20.0, 20.0)
    assert of(Outcome.FAILED) == (30.0, 30.0, 30.0)
    assert of(Outcome.LEFT_TRUST_REGION) == (20.0, 10.0, 30.0)
    unknown = measure(drive(speed_mps=np.nan), Outcome.COMPLETED)["speed_mean_mps"]
    assert not unknown.valid
