"""What a re-projected rollout costs, and against what one would write first.

    python -m benchmarks.driving [--parts share,shards,loop,flat,store]
        [--counts 10,100,500] [--seconds 4]

share   how much of a rollout is not the model's own inference, for graphs of 0.16 and 2 GFLOP
        (multiply and add counted as two; `graph_of` makes them): candidate and baseline side by
        side from four offsets, and as a run with one offset drives them, four segments in a shard
shards  the same shards as workers drive them, in locked-down children that are started for each
        shard or kept for the next one; their CPU time is included
loop    the same rollouts by a per-frame OpenCV loop, on the same store and on full-size video
flat    CPU time per segment and peak memory over more and more different segments
store   bytes a minute, and decoding against JPEG

CPU time of this process on one thread. Everything is made in a temporary folder from the procedural
world's seed 0.
"""

import os
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import onnx
import onnxruntime
import psutil
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from benchmarks.result_pages import command_line
from suites.execution_classes import default_execution
from suites.identity import canonical_json, digest
from suites.manifest import ActionSpec, Graph, Manifest, Tensor, VirtualCamera
from suites.rollout import DriveKey, ExecutionClass, Offset, Scenario
from suites.segment import SegmentMeta
from suites.simulators import simulator_spec
from workers.batches import drive_keys
from workers.policy.adapters.plain_adapter import PlainPolicy
from workers.policy.runtimes.onnx_runtime import OnnxRuntime
from workers.policy.runtimes.runtime import Arrays, Runtime
from workers.policy.sandbox.kept import KeptPolicies
from workers.segments.store import read_segment
from workers.simulation.loop import side_by_side, steps
from workers.simulation.views.reprojection import open_simulator
from workers.simulation.world.corpus import make_segment

SMALL = VirtualCamera(width=128, height=64, fx=100.0, fy=100.0, cx=63.5, cy=29.5)
LARGE = VirtualCamera(width=256, height=128, fx=200.0, fy=200.0, cx=127.5, cy=59.5)
OFFSETS_M = (-1.0, -0.5, 0.5, 1.0)
FULL_SIZE = (1928, 1208)
OPEN = {
    "lateral_bound_m": 1e3,
    "trust_lateral_m": 1e3,
    "trust_longitudinal_m": 1e3,
    "trust_heading_rad": 9.0,
}
"""Parameters under which a rollout ends early only where it leaves the road."""
CASES = ((SMALL, 32, 4), (SMALL, 96, 6), (LARGE, 64, 3))
"""Camera, channels and layers (`graph_of`) of the models whose share is measured."""


@dataclass
class Timed:
    """A runtime that counts its own seconds."""

    inner: Runtime
    execution: ExecutionClass
    seconds: float = 0.0

    def infer(self, feeds: Arrays) -> Arrays:
        start = time.process_time()
        out = self.inner.infer(feeds)
        self.seconds += time.process_time() - start
        return out


def graph_of(camera: VirtualCamera, width: int, depth: int) -> tuple[bytes, float]:
    """An ONNX graph frames u8 -> curvature, and its GFLOP a frame.

    A 5x5 convolution of stride 2 to `width` channels, then `depth` 3x3 ones of as many channels at
    that half resolution, ReLU after each; mean over the picture, one number.
    """
    rng = np.random.default_rng(0)
    area = (camera.height // 2) * (camera.width // 2)
    tensors, nodes = [], []

    def weight(name: str, *shape: int) -> str:
        values = rng.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape).astype(np.float32)
        tensors.append(numpy_helper.from_array(values, name))
        return name

    def node(op: str, inputs: list[str], output: str, **attributes: Any) -> None:
        nodes.append(helper.make_node(op, inputs, [output], **attributes))

    flop = 2.0 * 25 * 3 * width * area + depth * 2.0 * 9 * width * width * area
    node("Cast", ["frames"], "x0", to=1)
    first = weight("w0", width, 3, 5, 5)
    node("Conv", ["x0", first], "c0", strides=[2, 2], pads=[2, 2, 2, 2])
    node("Relu", ["c0"], "r0")
    for k in range(1, depth + 1):
        inner = weight(f"w{k}", width, width, 3, 3)
        node("Conv", [f"r{k - 1}", inner], f"c{k}", pads=[1, 1, 1, 1])
        node("Relu", [f"c{k}"], f"r{k}")
    node("GlobalAveragePool", [f"r{depth}"], "pool")
    node("Flatten", ["pool"], "flat")
    node("MatMul", ["flat", weight("last", width, 1)], "raw")
    tensors.append(numpy_helper.from_array(np.array(1e-9, np.float32), "tiny"))
    node("Mul", ["raw", "tiny"], "curvature_out")
    size: list[str | int | None] = ["batch", 3, camera.height, camera.width]
    frames = helper.make_tensor_value_info("frames", TensorProto.UINT8, size)
    answer = helper.make_tensor_value_info("curvature_out", TensorProto.FLOAT, ["batch", 1])
    graph = helper.make_graph(nodes, "benchmark", [frames], [answer], tensors)
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString(), flop / 1e9


def policy_of(camera: VirtualCamera, data: bytes) -> tuple[PlainPolicy, Timed]:
    size = ("batch", 3, camera.height, camera.width)
    manifest = Manifest(
        name="benchmark",
        kind="camera",
        camera=camera,
        graphs=(Graph(sha256=digest(data), size_bytes=len(data)),),
        inputs=(Tensor(name="frames", dtype="uint8", shape=size, role="frames"),),
        outputs=(Tensor(name="curvature_out", dtype="float32", shape=("batch", 1), role="action"),),
        action=ActionSpec(kind="curvature", output="curvature_out"),
    )
    execution = default_execution(manifest)
    OnnxRuntime.prepare(execution)
    timed = Timed(OnnxRuntime(data, ("curvature_out",), execution), execution)
    return PlainPolicy(manifest, {"policy": timed}), timed


def keys_of(
    metas: Sequence[SegmentMeta],
    policy: PlainPolicy,
    seconds: float,
    offsets: Sequence[float] = OFFSETS_M,
) -> list[DriveKey]:
    simulator = simulator_spec("reprojection", OPEN)
    scenarios = [
        Scenario(
            segment_id=meta.segment_id,
            segment_digest=meta.digest,
            start_s=1.0,
            end_s=1.0 + seconds,
            offset=Offset(lateral_m=offset),
        )
        for meta in metas
        for offset in offsets
    ]
    return [
        DriveKey(model="benchmark", simulator=simulator, execution=policy.execution, scenario=s)
        for s in scenarios
    ]


def driven(
    root: Path, keys: Sequence[DriveKey], *policies: PlainPolicy, batch: int = 48
) -> tuple[float, int]:
    """(CPU seconds, steps) of these keys by each of the policies, side by side."""
    simulator = open_simulator(root, OPEN, {})
    start = time.process_time()
    count = 0
    for first in range(0, len(keys), batch):
        part = keys[first : first + batch]
        rollouts = side_by_side([steps(simulator, policy, part) for policy in policies])
        count += sum(len(r.trace) for r in rollouts if r.trace is not None)
    return time.process_time() - start, count


def by_opencv(
    video: Path,
    stored: Path,
    meta: SegmentMeta,
    session: onnxruntime.InferenceSession,
    steps: int,
    rate: float,
) -> float:
    """CPU seconds of one rollout, one frame after the other.

    Decode, scale, plane warp by maps and remap, model, bicycle.
    """
    start = time.process_time()
    columns = read_segment(stored, meta.segment_id, verify=False).columns
    capture = cv2.VideoCapture(str(video))
    v, u = np.mgrid[0:64, 0:128].astype(np.float32)
    rays = np.stack([(u - 63.5) / 100, (v - 29.5) / 100, np.ones_like(u)], axis=-1)
    ground = np.clip(rays[..., 1] / 1.3, 0, 2)
    lateral = heading = 0.5
    for k in range(round(rate) + steps):
        _, frame = capture.read()
        if k < round(rate):
            continue
        small = cv2.resize(frame, (160, 80), interpolation=cv2.INTER_AREA)
        small = cv2.cvtColor(small, cv2.COLOR_BGR2RGB)
        cos, sin = np.cos(heading * 0.01), np.sin(heading * 0.01)
        turn = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]], np.float32)
        p = rays @ turn.T + ground[..., None] * np.array([-lateral, 0, 0], np.float32)
        x, y = (100 * p[..., k] / p[..., 2] + c for k, c in ((0, 79.5), (1, 37.5)))
        view = cv2.remap(small, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        curvature = float(session.run(None, {"frames": view.transpose(2, 0, 1)[None]})[0][0, 0])
        speed = columns.speed_mps[k]
        heading += (curvature - columns.curvature[k]) * speed / rate
        lateral += heading * speed / rate * 0.01
    capture.release()
    return time.process_time() - start


def share(root: Path, metas: Sequence[SegmentMeta], seconds: float) -> None:
    for camera, width, depth in CASES:
        data, gflop = graph_of(camera, width, depth)
        (first, one), (second, other) = policy_of(camera, data), policy_of(camera, data)
        every = f"{len(metas)} segments x {len(OFFSETS_M)} offsets x 2 models"
        sets = {
            every: keys_of(metas, first, seconds),
            "4 segments x 1 offset x 2 models": keys_of(metas[:4], first, seconds, (0.5,)),
        }
        for what, keys in sets.items():
            driven(root, keys[:2], first, second)
            one.seconds = other.seconds = 0.0
            total, count = driven(root, keys, first, second)
            model = one.seconds + other.seconds
            say(
                f"share: {gflop:.2f} GFLOP at {camera.width}x{camera.height}, {what}: "
                f"{1000 * total / count:.3f} ms a step, of it {1000 * model / count:.3f} ms "
                f"inference; not inference: {1 - model / total:.1%}"
            )


def shards(root: Path, metas: Sequence[SegmentMeta], seconds: float) -> None:
    for camera, width, depth in CASES:
        data, gflop = graph_of(camera, width, depth)
        (policy, one), (second, other) = policy_of(camera, data), policy_of(camera, data)
        file = root.parent / "graph.onnx"
        file.write_bytes(data)
        models = dict.fromkeys(("candidate", "baseline"), (policy.manifest, {digest(data): file}))
        firsts = range(0, len(metas), 4)
        alone = [keys_of(metas[k : k + 4], policy, seconds, (0.5,)) for k in firsts] * 2
        for keys in alone:
            driven(root, keys, policy, second)
        inferred = (one.seconds + other.seconds) / len(alone)
        spent = []
        for how in ("started for each", "kept"):
            kept = KeptPolicies()
            before = all_cpu_s()
            for keys in alone:
                both = [replace(key, model=name) for key in keys for name in models]
                find = models.__getitem__
                list(drive_keys(both, segments_root=root, find_model=find, auxiliary={}, kept=kept))
                if how == "started for each":
                    kept.close()
            kept.close()
            s = (all_cpu_s() - before) / len(alone)
            spent.append(f"children {how}: {s:.3f} CPU s, not inference {1 - inferred / s:.1%}")
        say(
            f"shards: {gflop:.2f} GFLOP at {camera.width}x{camera.height}, 4 segments x 2 models, "
            f"{len(alone)} times: {inferred:.3f} CPU s inference; {'; '.join(spent)}"
        )


def all_cpu_s() -> float:
    """CPU time of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def loop(root: Path, metas: Sequence[SegmentMeta], seconds: float) -> None:
    data, gflop = graph_of(SMALL, 12, 2)
    policy, _ = policy_of(SMALL, data)
    keys = keys_of(metas, policy, seconds)
    driven(root, keys[:2], policy)
    ours = driven(root, keys, policy)[0] / len(keys)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, options)
    meta = metas[0]
    count = round(seconds * meta.rate_hz)
    store = root / meta.segment_id / "frames.mp4"
    large = root.parent / "full.mp4"
    frames = read_segment(root, meta.segment_id).frames(0, round(meta.rate_hz) + count)
    full_size(frames, large, meta.rate_hz)

    def median_s(video: Path, times: int) -> float:
        rate = meta.rate_hz
        runs = [by_opencv(video, root, meta, session, count, rate) for _ in range(times)]
        return float(np.median(runs))

    plain, full = median_s(store, 3), median_s(large, 2)
    say(
        f"loop: {gflop:.3f} GFLOP, {seconds:g} s: {ours:.3f} CPU s a rollout; per-frame OpenCV "
        f"loop on the store {plain:.3f} ({plain / ours:.1f}x), on {FULL_SIZE[0]}x{FULL_SIZE[1]} "
        f"video {full:.3f} ({full / ours:.1f}x)"
    )


def full_size(frames: NDArray[np.uint8], path: Path, rate: float) -> None:
    """The same frames as a car's camera stores them: HEVC, or H.264 where there is no encoder."""
    hevc = "libx265" in av.codecs_available
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx265" if hevc else "libx264", rate=round(rate))
        stream.width, stream.height, stream.pix_fmt = *FULL_SIZE, "yuv420p"
        stream.options = {"preset": "ultrafast", "x265-params": "log-level=none"}
        for frame in frames:
            big = cv2.resize(frame, FULL_SIZE, interpolation=cv2.INTER_CUBIC)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(big, format="rgb24")))
        container.mux(stream.encode(None))


def flat(root: Path, metas: Sequence[SegmentMeta], counts: Sequence[int], seconds: float) -> None:
    """Copies of the segments under other names: the same work, other files."""
    policy, _ = policy_of(SMALL, graph_of(SMALL, 12, 2)[0])
    copies = [copied(root, metas[k % len(metas)], k) for k in range(max(counts))]
    driven(root, keys_of(copies[:2], policy, seconds, (0.5,)), policy)
    process = psutil.Process()
    for count in counts:
        cpu, _ = driven(root, keys_of(copies[:count], policy, seconds, (0.5,)), policy)
        memory = process.memory_info().rss / 2**20
        say(
            f"flat: {count} segments of {seconds:g} s: {cpu / count:.4f} CPU s each; "
            f"{memory:.0f} MiB resident after"
        )


def copied(root: Path, meta: SegmentMeta, number: int) -> SegmentMeta:
    copy = replace(meta, segment_id=f"copy-{number}/0", route=f"copy-{number}")
    folder = root / copy.segment_id
    folder.mkdir(parents=True)
    for name in meta.files:
        os.link(root / meta.segment_id / name, folder / name)
    (folder / "meta.json").write_bytes(canonical_json(copy))
    return copy


def store(root: Path, meta: SegmentMeta) -> None:
    folder = root / meta.segment_id
    minute = 60.0 / meta.duration_s
    sizes = {name: (folder / name).stat().st_size * minute / 1e6 for name in meta.files}
    segment = read_segment(root, meta.segment_id)
    frames = segment.frames()
    quality = [cv2.IMWRITE_JPEG_QUALITY, 92]
    coded = [cv2.imencode(".jpg", frame[..., ::-1], quality)[1] for frame in frames]

    def decoded() -> None:
        for picture in coded:
            cv2.cvtColor(np.asarray(cv2.imdecode(picture, cv2.IMREAD_COLOR)), cv2.COLOR_BGR2RGB)

    def ms_a_frame(work: Callable[[], object]) -> float:
        start = time.process_time()
        work()
        return 1000 * (time.process_time() - start) / len(frames)

    video, depth, jpeg = (ms_a_frame(w) for w in (segment.frames, segment.depth, decoded))
    megabytes = sum(len(c) for c in coded) * minute / 1e6
    rows = ", ".join(f"{name} {size:.2f}" for name, size in sizes.items())
    say(
        f"store: MB a minute at 320x160: {rows}; as JPEG q92 {megabytes:.2f} "
        f"({megabytes / sizes['frames.mp4']:.1f}x the video). Decoding: {video:.3f} ms a frame "
        f"({video / jpeg:.2f}x JPEG's {jpeg:.3f}), depth {depth:.3f} ms"
    )


def say(line: str) -> None:
    print(line, flush=True)


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--parts", default="share,shards,loop,flat,store")
    parser.add_argument("--counts", default="10,100,500")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--segments", type=int, default=12, help="times four offsets: a batch")
    options = parser.parse_args()
    parts = options.parts.split(",")
    seconds = options.seconds
    counts = [int(c) for c in options.counts.split(",")]
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "segments"
        metas = [make_segment(root, 0, route, 0) for route in range(options.segments)]
        for name, part in (("share", share), ("shards", shards), ("loop", loop)):
            if name in parts:
                part(root, metas, seconds)
        if "flat" in parts:
            flat(root, metas, counts, seconds)
        if "store" in parts:
            store(root, metas[0])


if __name__ == "__main__":
    main()
