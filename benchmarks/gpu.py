"""Re-projection and closed loop on a CUDA device against this machine's CPU, wall time in one run.

    python -m benchmarks.gpu [--rows 64] [--rounds 50] [--seconds 4] [--segments 16]

views    a batch through the device's kernels, its copy back included, against the CPU's one after
         the other; how far the two differ is printed first
staging  steps that need new frames, with the next chunk decoded ahead and without
loop     a rollout with the model on the device (onnxruntime-gpu) against the CPU

Where there is no device it says why and ends well.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.driving import LARGE, OPEN, SMALL, graph_of, keys_of, policy_of, say
from benchmarks.result_pages import command_line
from suites.errors import MachineError
from suites.manifest import VirtualCamera
from suites.parameters import parse
from suites.segment import SegmentMeta
from workers.policy.adapters.plain_adapter import PlainPolicy
from workers.policy.runtimes.onnx_runtime import OnnxRuntime
from workers.segments.store import read_segment
from workers.simulation.loop import drive
from workers.simulation.road.view_protocol import Poses, Views
from workers.simulation.views.chunks import CHUNK, SharedChunks
from workers.simulation.views.reprojection import make_views, open_simulator
from workers.simulation.world.corpus import make_segment


def poses(segments: Sequence[Any], rows: int, frame: int) -> Poses:
    """`rows` cars at one frame of the segments in turn, up to 1 m off the log."""
    slot = np.arange(rows) % len(segments)
    frames = np.full(rows, frame)
    still = np.zeros(rows)
    left = np.linspace(-1.0, 1.0, rows)
    x, y, yaw = (
        np.array([getattr(segments[s].columns, name)[frame] for s in slot.tolist()])
        for name in ("x_m", "y_m", "yaw_rad")
    )
    return Poses(
        slot=slot,
        frame=frames,
        time_s=frames / 20.0,
        x_m=x - left * np.sin(yaw),
        y_m=y + left * np.cos(yaw),
        z_m=still,
        roll_rad=still,
        pitch_rad=still,
        yaw_rad=yaw + 0.02 * left,
    )


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def views(segments: Sequence[Any], camera: VirtualCamera, rows: int, rounds: int) -> None:
    at = poses(segments, rows, 30)
    made = {
        device: make_views(SharedChunks(), segments, camera, parse({}), device)
        for device in ("cpu", "cuda")
    }
    seen = {device: view.frames(at).copy() for device, view in made.items()}
    apart = np.abs(seen["cpu"].astype(int) - seen["cuda"])
    far = f"{np.mean(apart > 2):.3%} by more than 2 of 255"
    say(f"views: {np.mean(apart > 0):.3%} of the bytes differ from the CPU's, {far}")
    times: dict[str, list[float]] = {device: [] for device in made}
    for _ in range(rounds):
        for device, view in made.items():
            times[device].append(timed(lambda view=view: view.frames(at)) / rows)  # type: ignore[misc]
    cpu, cuda = (1000 * statistics.median(times[device]) for device in ("cpu", "cuda"))
    size = f"{camera.height} x {camera.width}"
    on = f"{cuda:.4f} ms each on the device, {cpu:.4f} on the CPU"
    say(f"views: {rows} of {size}: {on}: {cpu / cuda:.1f}x")


def staging(segments: Sequence[Any], camera: VirtualCamera, rows: int, chunks: int) -> None:
    """Each chunk's first step waits for whatever of its decoding and copying is not done yet."""

    def views_made() -> Views:
        return make_views(SharedChunks(), segments, camera, parse({}), "cuda")

    made = views_made()
    step_s = [timed(partial(made.frames, poses(segments, rows, f))) for f in range(chunks * CHUNK)]
    inner = [s for f, s in enumerate(step_s) if f % CHUNK]
    usual, fresh = (1000 * statistics.median(s) for s in (inner, step_s[CHUNK::CHUNK]))
    cold = 1000 * timed(lambda: views_made().frames(poses(segments, rows, 0)))
    waits = f"{fresh:.2f} where new frames are needed, {cold:.2f} were nothing decoded ahead"
    say(f"staging: {len(segments)} segments: {usual:.2f} ms a step, {waits}")


def loop(root: Path, metas: Sequence[SegmentMeta], camera: VirtualCamera, seconds: float) -> None:
    data, gflop = graph_of(camera, 96, 6)
    on_cpu, _ = policy_of(camera, data)
    on_cuda = replace(on_cpu.execution, device="cuda")
    OnnxRuntime.prepare(on_cuda)
    runtime = OnnxRuntime(data, ("curvature_out",), on_cuda)
    policies = {"cpu": on_cpu, "cuda": PlainPolicy(on_cpu.manifest, {"policy": runtime})}
    cost = {}
    for device, policy in policies.items():
        keys = keys_of(metas, policy, seconds if device == "cuda" else seconds / 4)
        for part in (keys[:4], keys):  # the first to compile and to warm up
            start = time.perf_counter()
            steps = 0
            for rollout in drive(open_simulator(root, OPEN, {}), policy, part):
                steps += 0 if rollout.trace is None else len(rollout.trace)
        cost[device] = 1000 * (time.perf_counter() - start) / steps
    rows = len(metas) * 4
    cuda, cpu = cost["cuda"], cost["cpu"]
    say(
        f"loop: {gflop:.2f} GFLOP, {rows} rows: {cuda:.3f} ms a step and row on the device, "
        f"{cpu:.3f} on one CPU thread: {cpu / cuda:.1f}x"
    )


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--parts", default="views,staging,loop")
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--segments", type=int, default=16)
    parser.add_argument("--small", action="store_true", help="views of 64 x 128, not 128 x 256")
    options = parser.parse_args()
    from workers.simulation.views.reprojection_cuda import require_device

    try:
        require_device()
    except MachineError as error:
        print(f"skipped: no CUDA device ({error})")
        return
    camera = SMALL if options.small else LARGE
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "segments"
        metas = [make_segment(root, 0, route, 0) for route in range(options.segments)]
        segments = [read_segment(root, meta.segment_id) for meta in metas]
        if "views" in options.parts:
            views(segments, camera, options.rows, options.rounds)
        if "staging" in options.parts:
            staging(segments, camera, options.rows, 4)
        if "loop" in options.parts:
            try:
                loop(root, metas, camera, options.seconds)
            except MachineError as error:
                print(f"skipped: loop ({error})")


if __name__ == "__main__":
    main()
