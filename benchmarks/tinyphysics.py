"""Tinyphysics in lock-step against the public script, which drives one segment at a time.

    python -m benchmarks.tinyphysics --dynamics tinyphysics.onnx --csv 00000.csv [--segments 64] [--controller pid]
        [--public-script controls_challenge/tinyphysics.py]

`--public-script` is the unmodified file in one's own checkout of github.com/commaai/controls_challenge (not shipped: it has
no licence). It is the reference for both time and bits, and needs its own packages in this environment:
`pip install pandas matplotlib seaborn tqdm`. Without it the reference is a leaner computation of the same semantics (no data
frames), with the PID controller.

Segments are made from the given one; the given one itself is driven last. Compared to the bit, segment by segment: every
action, lateral acceleration, target and speed of the history, and the three costs. Time is CPU seconds of this process and its
children. Ours has in it: loading and checking the dynamics, reading from the store, the controller's graph (and its sandbox
where said), costs; theirs: its session, reading the CSV, costs. The core's peak is the best matrix product of this run.
"""

import argparse
import importlib
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import chdir
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from suites.executions import default_execution
from suites.manifest import load_manifest
from suites.metrics import measure
from suites.metrics.registry import METRICS
from suites.rollout import DriveKey, Scenario, SimulatorSpec, Trace
from suites.simulators import SIMULATORS
from workers.batches import drive_keys
from workers.segments.controls_csv import import_controls_csv
from workers.segments.store import read_segment
from workers.simulation.tinyphysics.lockstep import CONTEXT, CONTROL_START, COST_END
from workers.simulation.tinyphysics.tests.test_tinyphysics import PID, plain

Floats = NDArray[np.float64]
History = dict[str, Floats]
"""HISTORY of all rows, the log's first ones included, and `costs` [3]."""
HISTORY = ("action", "lataccel_mps2", "target_lataccel_mps2", "speed_mps")
BATCH = 64
COSTS = ("lataccel_cost", "jerk_cost", "total_cost")
CAPS = np.array([METRICS[name].cap for name in COSTS], dtype=np.float64)
MODES = {
    "full trajectory": (True, False),
    "cost only": (False, False),
    "cost only, controller in its sandbox": (False, True),
}


def generated(source: Path, folder: Path, count: int) -> list[Path]:
    """Segments like the given one: its channels shifted in time and scaled (every eighth far beyond the tokens' range), every
    fourth shorter. Nine digits (the dataset has up to eight): with 17, older versions of pandas do not round correctly."""
    lines = source.read_text().splitlines()
    rows = [line.split(",") for line in lines[1:]]
    generator = np.random.default_rng(0)
    paths = []
    for number in range(count):
        scale = generator.uniform(0.3, 1.1) * (5 if number % 8 == 7 else 1)
        shift, cut = (
            int(generator.integers(0, 400)),
            int(generator.integers(0, 80)) * (number % 4 == 3),
        )
        text = [lines[0]]
        for own, other in zip(rows, rows[shift:] + rows[:shift], strict=True):
            steer = f"{float(own[5]) * scale:.9g}" if own[5] else ""
            text.append(",".join([own[0], *other[1:4], f"{float(other[4]) * scale:.9g}", steer]))
        paths.append(folder / f"{number:05d}.csv")
        paths[-1].write_text("\n".join(text[: len(text) - cut]) + "\n")
    return paths


def public(script: Path, dynamics: Path, controller: str) -> Callable[[str], History]:
    """The public script's classes on a file, as its own `run_rollout` puts them together."""
    os.environ["MPLBACKEND"] = "Agg"
    sys.path.insert(0, str(script.parent))
    module = importlib.import_module(script.stem)

    def run(path: str) -> History:
        steering = importlib.import_module(f"controllers.{controller}").Controller()
        simulator = module.TinyPhysicsSimulator(
            module.TinyPhysicsModel(str(dynamics), debug=False), path, controller=steering
        )
        costs = simulator.rollout()
        driven = (
            simulator.action_history,
            simulator.current_lataccel_history,
            simulator.target_lataccel_history,
        )
        columns = (*driven, [state.v_ego for state in simulator.state_history])
        history = {name: np.array(column) for name, column in zip(HISTORY, columns, strict=True)}
        return history | {"costs": np.array([costs[name] for name in COSTS])}

    return run


def lean(root: Path, dynamics: Path) -> Callable[[str], History]:
    """The plain computation that the tests use as oracle."""

    def run(path: str) -> History:
        table = read_segment(root, f"controls/{Path(path).stem}").table
        action, lataccel = plain(dynamics, table, path, PID)
        target, judged = table["targetLateralAcceleration"], slice(CONTROL_START, COST_END)
        error = np.mean((target[judged] - lataccel[judged]) ** 2) * 100
        jerk = np.mean((np.diff(lataccel[judged]) / 0.1) ** 2) * 100
        history = dict(zip(HISTORY, (action, lataccel, target, table["vEgo"]), strict=True))
        return history | {"costs": np.array([error, jerk, 50 * error + jerk])}

    return run


def identical(trace: Trace, costs: Floats, expected: History, full: bool) -> bool:
    """From the first driven row on: to the end, or up to where the costs end. Costs end at the metrics' caps; a zero of either
    sign is a zero: the shipped `zero` answers -0 where the script's answers 0."""
    span = slice(CONTEXT, None if full else COST_END)
    values = (np.array_equal(trace[column], expected[column][span]) for column in HISTORY)
    return all(values) and np.array_equal(costs, np.minimum(expected["costs"], CAPS))


def peak_flops() -> float:
    """Multiplies and adds a second of one thread in float32: the best of both libraries over a few sizes."""
    generator = np.random.default_rng(0)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    best = 0.0
    for size in (512, 768, 1024):
        a = generator.random((size, size), np.float32)
        x, y = (
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [size, size]) for name in "xy"
        )
        node = helper.make_node("MatMul", ["x", "w"], ["y"])
        graph = helper.make_graph([node], "product", [x], [y], [numpy_helper.from_array(a, "w")])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        for product in (partial(np.matmul, a, a), partial(session.run, None, {"x": a})):
            for _ in range(20):
                start = time.process_time()
                product()
                best = max(best, 2 * size**3 / (time.process_time() - start))
    return best


def step_flops(dynamics: Path) -> float:
    """Multiplies and adds that one step of one row needs: every position up to the last layer's keys and values, two query
    rows there and one row after. Padding and what is no matrix product is not counted."""
    model = onnx.load(dynamics)
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    dense = [
        shapes[n.input[1]]
        for n in model.graph.node
        if n.op_type == "MatMul" and n.input[1] in shapes
    ]
    width, layers = dense[1][0], (len(dense) - 2) // 4
    sizes = [rows * columns for rows, columns in dense]
    attention = 2 * CONTEXT * width  # both products, per query row
    positions = sum(sizes[:-5]) + (layers - 1) * attention + 2 * width**2
    return float(2 * (CONTEXT * positions + 2 * (width**2 + attention) + sum(sizes[-4:])))


def cpu_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dynamics", type=Path, required=True)
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--segments", type=int, default=64)
    parser.add_argument("--controller", choices=("pid", "zero"), default="pid")
    parser.add_argument("--public-script", type=Path)
    options = parser.parse_args(arguments)
    if options.controller != "pid" and options.public_script is None:
        parser.error("the zero controller needs --public-script")
    folder = Path(__file__).parent.parent / "models" / options.controller
    manifest = load_manifest(folder / "manifest.json")
    graphs = {graph.sha256: folder / f"{graph.role}.onnx" for graph in manifest.graphs}
    dynamics = options.dynamics.resolve()
    with tempfile.TemporaryDirectory() as temporary:
        root, data = Path(temporary) / "segments", Path(temporary) / "data"
        data.mkdir()
        files = generated(options.csv, data, options.segments)
        files.append(data / "given.csv")
        files[-1].write_bytes(options.csv.read_bytes())
        metas, script = import_controls_csv(files, root), options.public_script
        reference = (
            public(script.resolve(), dynamics, options.controller)
            if script
            else lean(root, dynamics)
        )
        spent = dict.fromkeys(("reference", *MODES), 0.0)
        same, steps = Counter[str](), Counter[str]()
        for first in range(0, len(metas), BATCH):
            batch = metas[first : first + BATCH]
            start = cpu_s()
            with chdir(temporary):
                expected = {
                    meta.segment_id: reference(f"data/{Path(meta.segment_id).name}.csv")
                    for meta in batch
                }
            spent["reference"] += cpu_s() - start
            for mode, (full, sandboxed) in MODES.items():
                parameters = {"full": full, "seed_string": "data/{segment}.csv"}
                keys = [
                    DriveKey(
                        model=options.controller,
                        execution=default_execution(manifest),
                        simulator=SimulatorSpec(
                            name="tinyphysics",
                            version=SIMULATORS["tinyphysics"].version,
                            parameters=parameters,
                        ),
                        scenario=Scenario(
                            segment_id=m.segment_id,
                            segment_digest=m.segment_id,
                            start_s=2,
                            end_s=m.duration_s,
                        ),
                    )
                    for m in batch
                ]
                start = cpu_s()
                rollouts = list(
                    drive_keys(
                        keys,
                        segments_root=root,
                        find_model=lambda _: (manifest, graphs),
                        auxiliary={"dynamics": dynamics},
                        sandboxed=sandboxed,
                    )
                )
                results = [measure(rollout.trace, rollout.outcome, COSTS) for rollout in rollouts]
                spent[mode] += cpu_s() - start
                for rollout, result in zip(rollouts, results, strict=True):
                    assert rollout.trace is not None
                    costs = np.array([result[cost].value for cost in COSTS])
                    same[mode] += identical(
                        rollout.trace, costs, expected[rollout.key.scenario.segment_id], full
                    )
                    steps[mode] += CONTEXT + len(rollout.trace) - CONTROL_START
    peak, count = peak_flops(), len(metas)
    print(
        f"reference: {spent['reference'] / count * 1e3:.1f} ms CPU a segment; matrix products at best {peak / 1e9:.0f} GFLOP/s"
    )
    for mode in MODES:
        print(
            f"{mode}: {spent[mode] / count * 1e3:.1f} ms, {spent['reference'] / spent[mode]:.2f}x; "
            f"{same[mode]} of {count} segments identical to the bit; "
            f"{step_flops(dynamics) * steps[mode] / spent[mode] / peak:.0%} of the core's peak"
        )


if __name__ == "__main__":
    main()
