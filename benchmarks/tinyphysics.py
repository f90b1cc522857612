"""Tinyphysics in lock-step against the public script's way: one session per segment, batch 1, one step at a time.

    python -m benchmarks.tinyphysics --dynamics tinyphysics.onnx --csv 00000.csv [--segments 64]

CPU seconds per segment of both, in one process, and whether every history value agrees to the bit.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from suites.model import load_manifest
from suites.rollout import DriveKey, ExecutionClass, Scenario, SimulatorSpec
from workers.policy.protocol import Action
from workers.segments.controls_csv import import_controls_csv
from workers.segments.store import read_segment
from workers.simulation.tests.test_tinyphysics import PID, pid, plain
from workers.simulation.tinyphysics import TinyPhysics

Floats = NDArray[np.float64]
BATCH = 32


def generated(source: Path, folder: Path, count: int) -> list[Path]:
    """Segments like the given one: its channels shifted in time and scaled, so that no two are alike."""
    lines = source.read_text().splitlines()
    rows = [line.split(",") for line in lines[1:]]
    generator = np.random.default_rng(0)
    paths = []
    for number in range(count):
        scale, shift = generator.uniform(0.3, 1.1), int(generator.integers(0, 400))
        path = folder / f"{number:05d}.csv"
        moved = [
            [r[0], *rolled[1:4], repr(float(rolled[4]) * scale), repr(float(s[5]) * scale) if s[5] else ""]
            for r, s, rolled in zip(rows, rows, rows[shift:] + rows[:shift], strict=True)
        ]
        path.write_text("\n".join([lines[0], *(",".join(row) for row in moved)]) + "\n")
        paths.append(path)
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dynamics", type=Path, required=True)
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--segments", type=int, default=64)
    options = parser.parse_args()
    manifest = load_manifest(Path(__file__).parent.parent / "models" / "pid" / "manifest.json")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "segments"
        metas = import_controls_csv(generated(options.csv, Path(folder), options.segments), root)
        tables = [read_segment(root, meta.segment_id).table for meta in metas]
        names = [meta.segment_id.rsplit("/", 1)[-1] for meta in metas]
        execution = ExecutionClass(runtime="benchmark", version="0")
        keys = [
            DriveKey(
                model="pid", simulator=SimulatorSpec(name="tinyphysics", version="1"), execution=execution,
                scenario=Scenario(segment_id=m.segment_id, segment_digest="0" * 64, start_s=2, end_s=m.duration_s),
            )
            for m in metas
        ]  # fmt: skip

        start = time.process_time()
        oracle = [plain(options.dynamics, t, f"data/{n}.csv", PID) for t, n in zip(tables, names, strict=True)]
        public_s = (time.process_time() - start) / len(keys)

        for full in (True, False):
            simulator = TinyPhysics(root, {"full": full, "seed_string": "data/{segment}.csv"}, {"dynamics": options.dynamics})
            start = time.process_time()
            same = 0
            for first in range(0, len(keys), BATCH):
                batch = keys[first : first + BATCH]
                state, act, ended = simulator.begin(batch, manifest), pid(PID), 0
                while ended < len(batch):
                    action: Action = act(simulator.observe(state))
                    state, end = simulator.step(state, action, 0.0)
                    ended += len(end.rows)
                for row, (actions, lataccel) in enumerate(oracle[first : first + BATCH]):
                    trace = simulator.trace(state, row)
                    stop = 20 + len(trace)
                    same += np.array_equal(trace["lataccel_mps2"], lataccel[20:stop]) and np.array_equal(
                        trace["action"], actions[20:stop]
                    )
            lean_s = (time.process_time() - start) / len(keys)
            mode = "full trajectory" if full else "cost only"
            print(
                f"{mode}: {lean_s * 1e3:.1f} ms against {public_s * 1e3:.1f} ms CPU a segment, ratio {public_s / lean_s:.2f}; "
                f"{same} of {len(keys)} segments identical to the bit"
            )


if __name__ == "__main__":
    main()
