"""`redrive simulator` on a stored segment."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from cli.commands.simulator import app
from suites.segment import SegmentColumns, SegmentMeta
from workers.segments.store import write_segment
from workers.simulation.road.tests.test_vehicle_learner import BELIEVED, log_of


def stored(data: Path, columns: SegmentColumns) -> None:
    meta = SegmentMeta(
        segment_id="r/0",
        route="r",
        source="test/1",
        kind="camera",
        frame_count=len(columns),
        rate_hz=20.0,
        duration_s=len(columns) / 20.0,
        camera=None,
        vehicle=BELIEVED,
        depth_source=None,
    )
    write_segment(data / "segments", meta, columns, None, None)


def test_learn_tells_the_parameters_and_the_drift(tmp_path: Path) -> None:
    truth, columns = log_of(seed=7, memory=0.9)
    stored(tmp_path, columns)
    answer = CliRunner().invoke(app, ["learn", "r/0", "--data", str(tmp_path), "--json"])
    assert answer.exit_code == 0
    found = json.loads(answer.stdout)
    low, high = found["interval"]["steer_ratio"]
    wide = found["deviation"]["steer_ratio"]
    assert high - low == pytest.approx(2 * 1.96 * wide)
    # one draw: how often 95 % hold is tested in test_learner
    assert abs(found["vehicle"]["steer_ratio"] - truth.steer_ratio) < 3 * wide
    assert found["drift"]["after_m_per_minute"] < found["drift"]["before_m_per_minute"] / 3
    text = CliRunner().invoke(app, ["learn", "r/0", "--data", str(tmp_path)]).stdout
    assert "m per minute" in text
    assert f"{found['vehicle']['steer_ratio']:.6g}" in text


def test_a_log_that_teaches_nothing_is_an_error(tmp_path: Path) -> None:
    _, columns = log_of(seed=1, memory=0.0)
    blind = np.full(len(columns), np.nan)
    stored(tmp_path, replace(columns, steering_angle_rad=blind))
    answer = CliRunner().invoke(app, ["learn", "r/0", "--data", str(tmp_path)])
    assert "cannot be learned" in str(answer.exception)


def test_a_report_refuses_a_model_that_sees_nothing(tmp_path: Path) -> None:
    answer = CliRunner().invoke(app, ["report", "--data", str(tmp_path), "--model", "pid"])
    assert "only camera models" in str(answer.exception)
