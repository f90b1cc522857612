"""Tinyphysics in lock-step against the public script, which drives one segment at a time.

    python -m benchmarks.tinyphysics --dynamics tinyphysics.onnx --csv 00000.csv
        [--segments 64] [--controller pid] [--public-script controls_challenge/tinyphysics.py]

`--public-script` is the unmodified file in one's own checkout of
github.com/commaai/controls_challenge (not shipped: it has no licence). It is the reference for both
time and bits, and needs its own packages in this environment: `pip install pandas matplotlib
seaborn tqdm`. Without it the reference is a leaner computation of the same semantics (no data
frames), with the PID controller.

Segments are made from the given one; the given one itself is driven last. Compared to the bit,
segment by segment: every action, lateral acceleration, target and speed of the history, and the
three costs. Time is CPU seconds of this process and its children. Ours has in it: loading and
checking the dynamics, reading from the store, the controller's graph (and its sandbox where said),
costs. Theirs: its session, reading the CSV, costs. The core's peak is the best matrix product of
this run.
"""

import importlib
import os
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import chdir
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from benchmarks.result_pages import command_line
from suites.execution_classes import default_execution
from suites.manifest import load_manifest
from suites.metrics import measure
from suites.metrics.registry import METRICS
from suites.rollout import DriveKey, Rollout, Scenario, SimulatorSpec, Trace
from suites.segment import SegmentMeta
from suites.simulators import SIMULATORS
from workers.batches import drive_keys
from workers.segments.controls_csv import import_controls_csv
from workers.segments.store import read_segment
from workers.simulation.tinyphysics.lockstep import CONTEXT, CONTROL_START, COST_END
from workers.simulation.tinyphysics.tests.test_lockstep import PID, plain

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
    """Segments like the given one: its channels shifted in time and scaled, every fourth shorter.

    Every eighth is far beyond the tokens' range. Nine digits (the dataset has up to eight): older
    versions of pandas do not round 17 correctly.
    """
    lines = source.read_text().splitlines()
    rows = [line.split(",") for line in lines[1:]]
    generator = np.random.default_rng(0)
    paths = []
    for number in range(count):
        scale = generator.uniform(0.3, 1.1) * (5 if number % 8 == 7 else 1)
        shift = int(generator.integers(0, 400))
        cut = int(generator.integers(0, 80)) * (number % 4 == 3)
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
        model = module.TinyPhysicsModel(str(dynamics), debug=False)
        simulator = module.TinyPhysicsSimulator(model, path, controller=steering)
        costs = simulator.rollout()
        lataccel = simulator.current_lataccel_history, simulator.target_lataccel_history
        speed = [state.v_ego for state in simulator.state_history]
        columns = (simulator.action_history, *lataccel, speed)
        history = {name: np.array(column) for name, column in zip(HISTORY, columns, strict=True)}
        return history | {"costs": np.array([costs[name] for name in COSTS])}

    return run


def lean(root: Path, dynamics: Path) -> Callable[[str], History]:
    """The plain computation that the tests use as oracle."""

    def run(path: str) -> History:
        table = read_segment(root, f"controls/{Path(path).stem}").table
        action, lataccel = plain(dynamics, table, path, PID)
        target = table["targetLateralAcceleration"]
        judged = slice(CONTROL_START, COST_END)
        error = np.mean((target[judged] - lataccel[judged]) ** 2) * 100
        jerk = np.mean((np.diff(lataccel[judged]) / 0.1) ** 2) * 100
        history = dict(zip(HISTORY, (action, lataccel, target, table["vEgo"]), strict=True))
        return history | {"costs": np.array([error, jerk, 50 * error + jerk])}

    return run


def identical(trace: Trace, costs: Floats, expected: History, full: bool) -> bool:
    """From the first driven row on: to the end, or up to where the costs end.

    Costs end at the metrics' caps. A zero of either sign is a zero: the shipped `zero` answers -0
    where the script's answers 0.
    """
    span = slice(CONTEXT, None if full else COST_END)
    values = (np.array_equal(trace[column], expected[column][span]) for column in HISTORY)
    return all(values) and np.array_equal(costs, np.minimum(expected["costs"], CAPS))


def peak_flops() -> float:
    """Multiplies and adds a second of one thread in float32: the best of both libraries."""
    generator = np.random.default_rng(0)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    best = 0.0
    for size in (512, 768, 1024):
        a = generator.random((size, size), np.float32)
        shape = [size, size]
        x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in "xy")
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
    """Multiplies and adds that one step of one row needs; matrix products only, no padding.

    Every position up to the last layer's keys and values, two query rows there and one row after.
    """
    graph = onnx.load(dynamics).graph
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    products = [node for node in graph.node if node.op_type == "MatMul"]
    dense = [shapes[node.input[1]] for node in products if node.input[1] in shapes]
    width = dense[1][0]
    layers = (len(dense) - 2) // 4
    sizes = [rows * columns for rows, columns in dense]
    attention = 2 * CONTEXT * width  # both products, per query row
    positions = sum(sizes[:-5]) + (layers - 1) * attention + 2 * width**2
    return float(2 * (CONTEXT * positions + 2 * (width**2 + attention) + sum(sizes[-4:])))


def cpu_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


@dataclass
class Bench:
    """Segments, a controller and dynamics; what they have cost, and how often they agreed."""

    root: Path
    metas: Sequence[SegmentMeta]
    controller: str
    dynamics: Path
    reference: Callable[[str], History]
    spent: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """CPU seconds of `reference` and of each mode."""
    same: Counter[str] = field(default_factory=Counter)
    """Segments identical to the bit, by mode."""
    steps: Counter[str] = field(default_factory=Counter)

    def batch(self, metas: Sequence[SegmentMeta], folder: Path) -> None:
        """The reference in `folder`, whose `data` has the files; then each mode against it."""
        start = cpu_s()
        with chdir(folder):
            names = {meta.segment_id: f"data/{Path(meta.segment_id).name}.csv" for meta in metas}
            expected = {segment: self.reference(name) for segment, name in names.items()}
        self.spent["reference"] += cpu_s() - start
        for mode, (full, sandboxed) in MODES.items():
            start = cpu_s()
            rollouts = self.driven(metas, full, sandboxed)
            results = [measure(rollout.trace, rollout.outcome, COSTS) for rollout in rollouts]
            self.spent[mode] += cpu_s() - start
            for rollout, result in zip(rollouts, results, strict=True):
                assert rollout.trace is not None
                costs = np.array([result[cost].value for cost in COSTS])
                history = expected[rollout.key.scenario.segment_id]
                self.same[mode] += identical(rollout.trace, costs, history, full)
                self.steps[mode] += CONTEXT + len(rollout.trace) - CONTROL_START

    def driven(self, metas: Sequence[SegmentMeta], full: bool, sandboxed: bool) -> list[Rollout]:
        folder = Path(__file__).parent.parent / "models" / self.controller
        manifest = load_manifest(folder / "manifest.json")
        graphs = {graph.sha256: folder / f"{graph.role}.onnx" for graph in manifest.graphs}
        simulator = SimulatorSpec(
            name="tinyphysics",
            version=SIMULATORS["tinyphysics"].version,
            parameters={"full": full, "seed_string": "data/{segment}.csv"},
        )
        scenarios = [
            Scenario(segment_id=name, segment_digest=name, start_s=2, end_s=meta.duration_s)
            for meta in metas
            if (name := meta.segment_id)
        ]
        execution = default_execution(manifest)
        keys = [
            DriveKey(model=self.controller, execution=execution, simulator=simulator, scenario=s)
            for s in scenarios
        ]
        rollouts = drive_keys(
            keys,
            segments_root=self.root,
            find_model=lambda _: (manifest, graphs),
            auxiliary={"dynamics": self.dynamics},
            sandboxed=sandboxed,
        )
        return list(rollouts)

    def report(self) -> None:
        peak = peak_flops()
        count = len(self.metas)
        reference = self.spent["reference"]
        best = f"matrix products at best {peak / 1e9:.0f} GFLOP/s"
        print(f"reference: {reference / count * 1e3:.1f} ms CPU a segment; {best}")
        flops = step_flops(self.dynamics)
        for mode in MODES:
            spent = self.spent[mode]
            print(
                f"{mode}: {spent / count * 1e3:.1f} ms, {reference / spent:.2f}x; "
                f"{self.same[mode]} of {count} segments identical to the bit; "
                f"{flops * self.steps[mode] / spent / peak:.0%} of the core's peak"
            )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command_line(__doc__)
    parser.add_argument("--dynamics", type=Path, required=True)
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--segments", type=int, default=64)
    parser.add_argument("--controller", choices=("pid", "zero"), default="pid")
    parser.add_argument("--public-script", type=Path)
    options = parser.parse_args(arguments)
    if options.controller != "pid" and options.public_script is None:
        parser.error("the zero controller needs --public-script")
    dynamics = options.dynamics.resolve()
    script = options.public_script
    with tempfile.TemporaryDirectory() as temporary:
        root, data = Path(temporary) / "segments", Path(temporary) / "data"
        data.mkdir()
        files = generated(options.csv, data, options.segments)
        files.append(data / "given.csv")
        files[-1].write_bytes(options.csv.read_bytes())
        metas = import_controls_csv(files, root)
        if script is None:
            reference = lean(root, dynamics)
        else:
            reference = public(script.resolve(), dynamics, options.controller)
        bench = Bench(root, metas, options.controller, dynamics, reference)
        for first in range(0, len(metas), BATCH):
            bench.batch(metas[first : first + BATCH], Path(temporary))
        bench.report()


if __name__ == "__main__":
    main()
