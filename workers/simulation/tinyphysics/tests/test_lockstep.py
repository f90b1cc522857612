"""Lock-step tinyphysics against a plain computation of the public semantics, to the bit."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from suites.errors import DataError, SubmitterError
from suites.manifest import load_manifest
from suites.metrics import measure
from suites.rollout import DriveKey, ExecutionClass, Scenario, SimulatorSpec
from suites.segment import SegmentMeta, Vehicle
from suites.vocabulary import Outcome
from workers.policy.policy import Action, Observation
from workers.segments import store
from workers.simulation.tests.columns import straight_columns
from workers.simulation.tinyphysics.lockstep import TinyPhysics, TinyState, public_seed

Floats = NDArray[np.float64]
SHARED = Path(__file__).parents[5] / "shared" / "data" / "tinyphysics"
MANIFEST = load_manifest(Path(__file__).parents[4] / "models" / "pid" / "manifest.json")
Gains = tuple[float, float, float]
PID: Gains = (0.195, 0.100, -0.053)


def dynamics(path: Path) -> Path:
    """A small stand-in with the real signature: logits that depend on every input."""
    generator = np.random.default_rng(5)
    weights = {
        "w": generator.normal(0, 0.4, (4, 32)).astype(np.float32),
        "e": generator.normal(0, 0.4, (1024, 32)).astype(np.float32),
        "o": generator.normal(0, 0.6, (32, 1024)).astype(np.float32),
        "m": np.tril(np.full((20, 20), 0.05, np.float32)),
    }
    nodes = [
        helper.make_node("MatMul", ["states", "w"], ["s"]),
        helper.make_node("Gather", ["e", "tokens"], ["t"]),
        helper.make_node("Add", ["s", "t"], ["x"]),
        helper.make_node("MatMul", ["m", "x"], ["mixed"]),
        helper.make_node("Tanh", ["mixed"], ["h"]),
        helper.make_node("MatMul", ["h", "o"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "dynamics",
        [
            helper.make_tensor_value_info("states", TensorProto.FLOAT, ["b", 20, 4]),
            helper.make_tensor_value_info("tokens", TensorProto.INT64, ["b", 20]),
        ],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["b", 20, 1024])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path
    )
    return path


def table(seed: int, rows: int) -> dict[str, Floats]:
    generator = np.random.default_rng(seed)
    steer = generator.normal(0, 0.2, rows)
    steer[100:] = np.nan
    return {
        "t": np.arange(rows) / 10,
        "vEgo": 25 + generator.normal(0, 0.1, rows).cumsum(),
        "aEgo": generator.normal(0, 0.2, rows),
        "roll": generator.normal(0, 0.01, rows),
        "targetLateralAcceleration": np.sin(np.arange(rows) / 17 + seed) * 1.5,
        "steerCommand": steer,
    }


def stored(root: Path, name: str, values: dict[str, Floats]) -> DriveKey:
    rows = len(values["t"])
    meta = SegmentMeta(
        segment_id=f"controls/{name}",
        route="controls",
        source="test/1",
        kind="controls",
        frame_count=rows,
        rate_hz=10,
        duration_s=rows / 10,
        camera=None,
        vehicle=Vehicle(),
        depth_source=None,
    )
    meta = store.write_segment(root, meta, straight_columns(rows, 10.0), None, None, values)
    scenario = Scenario(
        segment_id=meta.segment_id, segment_digest="0" * 64, start_s=2.0, end_s=rows / 10
    )
    return DriveKey(
        model="m",
        scenario=scenario,
        simulator=SimulatorSpec(name="tinyphysics", version="1"),
        execution=ExecutionClass(runtime="test", version="0"),
    )


def plain(
    model: Path, values: dict[str, Floats], seed_string: str, gains: Gains
) -> tuple[Floats, Floats]:
    """The public semantics, one step at a time: (actions, lateral accelerations) of all rows."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    bins = np.linspace(-5, 5, 1024)
    generator = np.random.RandomState(
        int(hashlib.md5(seed_string.encode()).hexdigest(), 16) % 10**4
    )
    rows = len(values["t"])
    state = list(
        zip(
            (np.sin(values["roll"]) * 9.81).tolist(),
            values["vEgo"].tolist(),
            values["aEgo"].tolist(),
            strict=True,
        )
    )
    steer = (-values["steerCommand"]).tolist()
    target = values["targetLateralAcceleration"].tolist()
    actions, lataccel = steer[:20], target[:20]
    integral = previous = 0.0
    for i in range(20, rows):
        error = target[i] - lataccel[-1]
        integral += error
        action = gains[0] * error + gains[1] * integral + gains[2] * (error - previous)
        previous = error
        actions.append(float(np.clip(action if i >= 100 else steer[i], -2, 2)))
        states = np.column_stack([actions[-20:], np.array(state[i - 19 : i + 1])])
        tokens = np.digitize(np.clip(lataccel[-20:], -5, 5), bins, right=True)
        feeds = {"states": states[None].astype(np.float32), "tokens": tokens[None].astype(np.int64)}
        scaled = session.run(None, feeds)[0] / 0.8
        exponent = np.exp(scaled - np.max(scaled, axis=-1, keepdims=True))
        probability = (exponent / np.sum(exponent, axis=-1, keepdims=True))[0, -1]
        predicted = bins[generator.choice(1024, p=probability)]
        predicted = float(np.clip(predicted, lataccel[-1] - 0.5, lataccel[-1] + 0.5))
        lataccel.append(predicted if i >= 100 else target[i])
    return np.array(actions), np.array(lataccel)


def pid(gains: Gains) -> Callable[[Observation], Action]:
    memory: dict[str, Floats | float] = {"integral": 0.0, "previous": 0.0}

    def act(observation: Observation) -> Action:
        error = observation.scalars["target_lataccel"] - observation.scalars["current_lataccel"]
        memory["integral"] = memory["integral"] + error
        difference = error - memory["previous"]
        memory["previous"] = error
        return Action(
            curvature=gains[0] * error + gains[1] * memory["integral"] + gains[2] * difference
        )

    return act


def drive(
    simulator: TinyPhysics, keys: Sequence[DriveKey], act: Callable[[Observation], Action]
) -> TinyState:
    """All rows to the end of the longest; ended rows stay, which must not matter to the others."""
    state = simulator.begin(keys, MANIFEST)
    ended: set[int] = set()
    while len(ended) < len(keys):
        state, end = simulator.step(state, act(simulator.observe(state)), 0.0)
        ended |= set(end.rows.tolist())
    return state


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("public", [False, True])
def test_a_batch_equals_the_plain_computation_to_the_bit(
    tmp_path: Path, full: bool, public: bool
) -> None:
    """Every value and cost of segments of unequal length, one out of the tokens' range at first."""
    if public and not SHARED.exists():
        pytest.skip("the public tinyphysics model is not on this machine")
    model = SHARED / "tinyphysics.onnx" if public else dynamics(tmp_path / "d.onnx")
    tables = {f"{n:05d}": table(n, rows) for n, rows in enumerate((530, 600, 470, 580))}
    tables["00003"]["targetLateralAcceleration"][:100] *= 5
    keys = [stored(tmp_path / "segments", name, values) for name, values in tables.items()]
    simulator = TinyPhysics(
        tmp_path / "segments",
        {"full": full, "seed_string": "data/{segment}.csv"},
        {"dynamics": model},
    )
    state = drive(simulator, keys, pid(PID))
    for row, (name, values) in enumerate(tables.items()):
        actions, lataccel = plain(model, values, f"data/{name}.csv", PID)
        trace = simulator.trace(state, row)
        stop = len(lataccel) if full else min(500, len(lataccel))
        assert trace["action"].tobytes() == actions[20:stop].tobytes()
        assert trace["lataccel_mps2"].tobytes() == lataccel[20:stop].tobytes()
        assert (
            trace["target_lataccel_mps2"].tobytes()
            == values["targetLateralAcceleration"][20:stop].tobytes()
        )
        error = (
            np.mean((values["targetLateralAcceleration"][100:500] - lataccel[100:500]) ** 2) * 100
        )
        jerk = np.mean((np.diff(lataccel[100:500]) / 0.1) ** 2) * 100
        results = measure(trace, Outcome.COMPLETED)
        found = [results[cost].value for cost in ("lataccel_cost", "jerk_cost", "total_cost")]
        assert found == [error, jerk, 50 * error + jerk]


def test_stopping_where_the_costs_stop_changes_no_cost(tmp_path: Path) -> None:
    model = dynamics(tmp_path / "d.onnx")
    key = stored(tmp_path / "segments", "00001", table(1, 600))
    costs = []
    for full in (True, False):
        simulator = TinyPhysics(tmp_path / "segments", {"full": full}, {"dynamics": model})
        trace = simulator.trace(drive(simulator, [key], pid(PID)), 0)
        assert len(trace) == (580 if full else 480)
        costs.append(measure(trace, Outcome.COMPLETED))
    assert costs[0] == costs[1]


def test_seeds_come_from_the_key_or_the_path_string(tmp_path: Path) -> None:
    assert public_seed("data/00000.csv") == 3285
    assert public_seed("./data/00000.csv") == 3963
    model = dynamics(tmp_path / "d.onnx")
    key = stored(tmp_path / "segments", "00001", table(1, 520))
    drawn = [
        TinyPhysics(tmp_path / "segments", parameters, {"dynamics": model})
        .begin([key], MANIFEST)
        .uniforms
        for parameters in ({}, {}, {"seed_string": "a"}, {"seed_string": "b"})
    ]
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])
    assert not np.array_equal(drawn[2], drawn[3])


def test_the_future_plan_shrinks_at_the_end(tmp_path: Path) -> None:
    values = table(1, 520)
    key = stored(tmp_path / "segments", "00001", values)
    simulator = TinyPhysics(
        tmp_path / "segments", {"full": True}, {"dynamics": dynamics(tmp_path / "d.onnx")}
    )
    state = simulator.begin([key], MANIFEST)
    state.step = 515
    scalars = simulator.observe(state).scalars
    assert scalars["future_count"].tolist() == [4.0]
    assert np.array_equal(
        scalars["future_lataccel"][0, :4], values["targetLateralAcceleration"][516:]
    )
    assert scalars["future_lataccel"].shape == (1, 49)


def test_bad_input_names_who_must_act(tmp_path: Path) -> None:
    model = dynamics(tmp_path / "d.onnx")
    with pytest.raises(SubmitterError, match="parameters are not valid"):
        TinyPhysics(tmp_path, {"fulll": True}, {"dynamics": model})
    broken = tmp_path / "no.onnx"
    broken.write_bytes(b"not a graph")
    with pytest.raises(DataError, match=r"no\.onnx"):
        TinyPhysics(tmp_path, {}, {"dynamics": broken})
    values = table(1, 520)
    values["vEgo"][7] = np.nan
    key = stored(tmp_path / "segments", "00002", values)
    with pytest.raises(DataError) as caught:
        TinyPhysics(tmp_path / "segments", {}, {"dynamics": model}).begin([key], MANIFEST)
    assert "vEgo" in caught.value.findings[0].where


@pytest.mark.skipif(
    not SHARED.exists(), reason="the public tinyphysics model is not on this machine"
)
@pytest.mark.parametrize(
    ("gains", "expected"),
    [
        (PID, (1.292700, 35.558530, 100.193505)),
        ((0.3, 0.05, -0.1), (1.482406, 32.756571, 106.876865)),
    ],
)
def test_the_public_reference_results(
    tmp_path: Path, gains: Gains, expected: tuple[float, float, float]
) -> None:
    rows = (SHARED / "00000.csv").read_text().splitlines()
    names = rows[0].split(",")
    columns = zip(*(line.split(",") for line in rows[1:]), strict=True)
    values = {
        n: np.array([float(v) if v else np.nan for v in column])
        for n, column in zip(names, columns, strict=True)
    }
    key = stored(tmp_path, "00000", values)
    simulator = TinyPhysics(
        tmp_path, {"seed_string": "data/00000.csv"}, {"dynamics": SHARED / "tinyphysics.onnx"}
    )
    results = measure(simulator.trace(drive(simulator, [key], pid(gains)), 0), Outcome.COMPLETED)
    printed = tuple(
        round(results[name].value, 6) for name in ("lataccel_cost", "jerk_cost", "total_cost")
    )
    if (
        printed != expected
    ):  # another CPU family may move the runtime's last bits: then the plain way is the oracle
        _, lataccel = plain(SHARED / "tinyphysics.onnx", values, "data/00000.csv", gains)
        assert results["jerk_cost"].value == np.mean((np.diff(lataccel[100:500]) / 0.1) ** 2) * 100
