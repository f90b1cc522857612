"""`redrive replay` as a user calls it: options after segments, JSON alone on standard output."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from cli.main import build
from server.tests.plain_segments import add_plain_segment
from suites import execution_classes as executions
from suites.errors import DataError, MachineError, SubmitterError
from suites.metrics.tests.test_metrics import moved
from suites.rollout import DriveKey, Rollout
from suites.vocabulary import Outcome
from workers.simulation.tinyphysics.tests.test_lockstep import PID, dynamics, plain, table

MODELS = Path(__file__).parents[3] / "models"


def replay(*words: str | Path) -> Result:
    result = CliRunner().invoke(build("replay"), ["replay", *map(str, words)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def csv(path: Path, seed: int) -> Path:
    values = table(seed, 520)
    columns = ("t", "vEgo", "aEgo", "roll", "targetLateralAcceleration", "steerCommand")
    rows = zip(*(values[c].tolist() for c in columns), strict=True)
    lines = [",".join("" if np.isnan(v) else repr(v) for v in row) for row in rows]
    path.write_text("\n".join([",".join(columns), *lines]) + "\n")
    return path


def test_costs_of_a_shipped_controller_equal_the_plain_computation(tmp_path: Path) -> None:
    model, file = dynamics(tmp_path / "d.onnx"), csv(tmp_path / "00007.csv", 7)
    answer = replay(
        file,
        "--simulator",
        "tinyphysics",
        "--simulator-model",
        model,
        "--model",
        "pid",
        "--seed-string",
        "data/00007.csv",
        "--trace",
        tmp_path / "traces",
        "--json",
    )
    (rollout,) = json.loads(answer.stdout)["rollouts"]
    values = table(7, 520)
    _, lataccel = plain(model, values, "data/00007.csv", PID)
    target = values["targetLateralAcceleration"]
    assert rollout["lataccel_cost"] == np.mean((target[100:500] - lataccel[100:500]) ** 2) * 100
    assert rollout["jerk_cost"] == np.mean((np.diff(lataccel[100:500]) / 0.1) ** 2) * 100
    assert rollout["total_cost"] == 50 * rollout["lataccel_cost"] + rollout["jerk_cost"]
    assert rollout["outcome"] == "completed"
    (trace,) = (tmp_path / "traces").glob("*.npz")
    assert rollout["drive_key"][:12] in trace.name


def test_every_shipped_controller_drives(tmp_path: Path) -> None:
    model, file = dynamics(tmp_path / "d.onnx"), csv(tmp_path / "00007.csv", 7)
    for name in ("pid", "zero", "feed_forward"):
        answer = replay(
            "--simulator",
            "tinyphysics",
            "--simulator-model",
            model,
            "--model",
            MODELS / name,
            "--no-sandbox",
            "--json",
            file,
        )
        (rollout,) = json.loads(answer.stdout)["rollouts"]
        assert rollout["outcome"] == "completed", rollout["reason"]


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(SubmitterError, match="there is no model 'nobody'"):
        replay("--model", "nobody")
    with pytest.raises(DataError, match="no single segment"):
        replay("a/0", "--data", tmp_path)
    with pytest.raises(SubmitterError, match="no segment is named"):
        replay("--data", tmp_path)
    with pytest.raises(SubmitterError, match="needs a model of its own"):
        replay(csv(tmp_path / "1.csv", 1), "--model", "pid", "--simulator", "tinyphysics")
    with pytest.raises(SubmitterError, match="does not exist"):
        replay(
            csv(tmp_path / "1.csv", 1),
            "--model",
            "pid",
            "--simulator",
            "tinyphysics",
            "--simulator-model",
            "no.onnx",
        )


def test_what_would_drive_nothing_is_refused(tmp_path: Path) -> None:
    add_plain_segment(tmp_path / "segments", "r0/0")
    for words, said in (
        (("--start", "50"), "nothing would be driven"),
        (("--start", "5", "--end", "3"), "nothing would be driven"),
        (("--noise", '{"pose_m": "much"}'), "--noise"),
        (("--noise", '{"delay_s": 1e9}'), "--noise"),
        (("--noise", '{"pos_m": 1}'), "--noise"),
        (("--noise", "["), "--noise"),
    ):
        with pytest.raises(SubmitterError, match=said) as refused:
            replay("r0/0", "--data", tmp_path, *words)
        assert refused.value.findings


def test_rollouts_that_differ_in_anything_are_written_to_files_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_plain_segment(tmp_path / "segments", "r0/0")
    add_plain_segment(tmp_path / "segments", "r0_0/0")
    monkeypatch.setattr("workers.batches.drive_keys", driven)
    monkeypatch.setattr("workers.pictures.write_comparison", lambda file, *_: file.touch())
    calls: tuple[tuple[str, ...], ...] = (
        ("--lateral", "0.001", "--lateral", "0.002"),
        ("--longitudinal", "1"),
        ("--heading", "1"),
        ("--heading", "-1"),
        ("--heading", "-1.001"),
        ("--seed", "1"),
        ("--start", "2"),
        ("--end", "9"),
        ("--noise", '{"pose_m": 0.05}'),
        ("--model", "twin"),
        ("--simulator", "rendered"),
        ("--parameter", "feedback=log"),
    )
    folders = {"--trace": tmp_path / "traces", "--video": tmp_path / "videos"}
    wanted = [word for pair in folders.items() for word in map(str, pair)]
    for words in (("--lateral", "0"), *calls):
        replay("r0/0", "r0_0/0", "--data", tmp_path, *words, *wanted)
    rollouts = 2 * (1 + len(calls) + 1)
    assert len(list(folders["--trace"].glob("*.npz"))) == rollouts
    assert len(list(folders["--video"].glob("*.mp4"))) == rollouts
    assert list(folders["--trace"].glob("r0_0@+0.00m+0.0m-1.0deg_*.npz"))


def driven(keys: Sequence[DriveKey], **_: object) -> Iterator[Rollout]:
    """Rollouts along the logged path, without a simulator."""
    for key in keys:
        steps = 100
        trace = moved(np.zeros(steps), steps)
        yield Rollout(key=key, outcome=Outcome.COMPLETED, ended_s=steps / 20, trace=trace)


def test_the_runtime_is_chosen_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = (
        csv(tmp_path / "00007.csv", 7),
        "--simulator",
        "tinyphysics",
        "--simulator-model",
        dynamics(tmp_path / "d.onnx"),
        "--model",
        MODELS / "pid",
        "--no-sandbox",
        "--json",
    )
    default, named = (
        json.loads(replay(*words, *more).stdout)
        for more in ((), ("--execution", "onnxruntime/f32/cpu"))
    )
    assert default == named
    monkeypatch.setattr(executions, "installed_runtimes", lambda: {"openvino": "0.1"})
    with pytest.raises(MachineError, match=r"the work is for openvino 0\.1 \(bfloat16, cpu\)"):
        replay(*words, "--execution", "openvino/bf16")
    with pytest.raises(SubmitterError, match="no execution class is named 'tensorrt'"):
        replay(*words, "--execution", "tensorrt")
