"""Roles, states, camera and action of a manifest, against what the adapters can feed and read."""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from server.graphs.signature import Shape, is_batch, show
from suites.errors import Finding
from suites.manifest import Manifest, Tensor

Row = tuple[int | None, ...]
"""Shape of one row; None is any size."""

ONE: tuple[Row, ...] = ((), (1,))
FLOATS = ("float16", "float32", "float64")
FRAMES = ("uint8", "float16", "float32")

PLAIN_CAMERA: dict[str, tuple[Row, ...]] = {
    "speed": ONE,
    "acceleration": ONE,
    "curvature": ONE,
    "desire": ((3,),),
    "traffic": ((2,),),
}
OPENPILOT: dict[str, tuple[Row, ...]] = {
    "speed": ((2,),),
    "curvature": ((None, 1),),
    "desire": ((None, 8),),
    "traffic": ((2,),),
    "features": ((None, None),),
}
CONTROLLER: dict[str, tuple[Row, ...]] = {
    "target_lataccel": ONE,
    "current_lataccel": ONE,
    "roll_lataccel": ONE,
    "v_ego": ONE,
    "a_ego": ONE,
    "future_lataccel": ((None,),),
    "future_roll_lataccel": ((None,),),
    "future_v_ego": ((None,),),
    "future_a_ego": ((None,),),
    "future_count": ONE,
}


def role_findings(manifest: Manifest) -> list[Finding]:
    """Every statement of the manifest that no adapter can honour, with what to write instead."""
    if manifest.adapter == "builtin" or manifest.builtin:
        return list(_builtin(manifest))
    return [
        *_finite(manifest),
        *_bundle(manifest),
        *_kind(manifest),
        *_inputs(manifest),
        *_states(manifest),
        *_features(manifest),
        *_action(manifest),
    ]


def _finite(manifest: Manifest) -> Iterator[Finding]:
    try:
        assert manifest.digest
    except ValueError:
        problem = "a number is not finite"
        yield Finding("(document)", problem, "write no NaN and no Infinity in a manifest")


def _builtin(manifest: Manifest) -> Iterator[Finding]:
    if manifest.adapter != "builtin" or not manifest.builtin:
        problem = 'adapter "builtin" and the field builtin go together'
        yield Finding("adapter", problem, "set both or neither")
    elif manifest.builtin != "log":
        problem = f"expected log, found {manifest.builtin}"
        yield Finding("builtin", problem, "submit the shipped graph of that name instead")
    if manifest.graphs:
        yield Finding("graphs", "a built-in model has no graph", "leave graphs out")


def _bundle(manifest: Manifest) -> Iterator[Finding]:
    roles = sorted(graph.role for graph in manifest.graphs)
    allowed = [["policy"]] if manifest.adapter == "plain" else [["policy"], ["policy", "vision"]]
    if roles not in allowed:
        problem = f"expected one graph of role policy, found {roles or 'none'}"
        remedy = "a vision graph beside it is run by the openpilot adapter only"
        yield Finding("graphs", problem, remedy)
    for kind, tensors in (("inputs", manifest.inputs), ("outputs", manifest.outputs)):
        for tensor in tensors:
            if tensor.graph not in roles:
                problem = f"no graph of role {tensor.graph}"
                yield Finding(f"{kind}.{tensor.name}.graph", problem, "name a graph of the bundle")
        for name, count in Counter(tensor.name for tensor in tensors).items():
            if count > 1:
                problem = f"expected it once, found it {count} times"
                yield Finding(f"{kind}.{name}", problem, "state each tensor once")
        for tensor in tensors:
            yield from _batch(tensor, f"{kind}.{tensor.name}.shape")
    both = (*manifest.inputs, *manifest.outputs)
    for role in roles:
        free = {is_batch(t.shape[0]) for t in both if t.graph == role and t.shape}
        if len(free) > 1:
            problem = "some tensors have a free batch dimension and some a fixed one"
            remedy = "make the batch dimension of all of them free, or of all of them 1"
            yield Finding(f"graphs.{role}", problem, remedy)


def _batch(tensor: Tensor, where: str) -> Iterator[Finding]:
    if not tensor.shape or not (is_batch(tensor.shape[0]) or tensor.shape[0] == 1):
        problem = f"expected the batch first, found {show(tensor.shape)}"
        remedy = 'begin the shape with "batch", or with 1 for a graph that takes one row'
        yield Finding(where, problem, remedy)
    if tensor.role != "other" and any(
        isinstance(size, str) or size < 1 for size in tensor.shape[1:]
    ):
        problem = f"expected numbers after the batch, found {show(tensor.shape)}"
        yield Finding(where, problem, "state the size that the model is to be run with")


def _kind(manifest: Manifest) -> Iterator[Finding]:
    frames = [tensor for tensor in manifest.inputs if tensor.role == "frames"]
    if manifest.kind == "camera":
        if manifest.camera is None:
            problem = "a camera model needs its virtual camera"
            yield Finding("camera", problem, "state width, height, fx, fy, cx, cy")
        if len(frames) != 1:
            problem = f"expected one input of role frames, found {len(frames)}"
            yield Finding("inputs", problem, "give one input that role")
    else:
        if manifest.camera is not None:
            problem = "a controller sees no camera"
            yield Finding("camera", problem, "leave camera out, or set kind to camera")
        if manifest.adapter == "openpilot":
            problem = "the openpilot adapter drives camera models"
            yield Finding("adapter", problem, "use the plain adapter")
    if manifest.adapter == "openpilot" and manifest.colour != "yuv420":
        problem = f"expected yuv420 with the openpilot adapter, found {manifest.colour}"
        yield Finding("colour", problem, "set colour to yuv420")


def _inputs(manifest: Manifest) -> Iterator[Finding]:
    if manifest.kind == "controller":
        allowed = CONTROLLER
    else:
        allowed = OPENPILOT if manifest.adapter == "openpilot" else PLAIN_CAMERA
    pictures = ("frames", "wide_frames") if manifest.adapter == "openpilot" else ("frames",)
    counts = Counter(tensor.role for tensor in manifest.inputs)
    for tensor in manifest.inputs:
        where = f"inputs.{tensor.name}"
        if tensor.role == "state" and manifest.adapter == "plain":
            continue
        if tensor.role in pictures and manifest.kind == "camera":
            yield from _frames(manifest, tensor, where)
        elif tensor.role not in allowed:
            known = ", ".join((*(pictures if manifest.kind == "camera" else ()), *allowed))
            model = f"a {manifest.kind} model with the {manifest.adapter} adapter"
            problem = f"role {tensor.role!r} is no input of {model}"
            remedy = f"use one of: {known}" + (", state" if manifest.adapter == "plain" else "")
            yield Finding(f"{where}.role", problem, remedy)
        else:
            yield from _scalar(tensor, allowed[tensor.role], where)
        if counts[tensor.role] > 1:
            problem = f"role {tensor.role!r} is given to more than one input"
            yield Finding(f"{where}.role", problem, "give each role once")
    widths = {
        show(t.shape[1:])
        for t in manifest.inputs
        if t.role.startswith("future_") and t.role != "future_count"
    }
    if len(widths) > 1:
        problem = f"expected future plans of one length, found {', '.join(sorted(widths))}"
        yield Finding("inputs", problem, "give all future_ inputs the same shape")


def _frames(manifest: Manifest, tensor: Tensor, where: str) -> Iterator[Finding]:
    if tensor.dtype not in FRAMES:
        problem = f"expected {' or '.join(FRAMES)}, found {tensor.dtype}"
        yield Finding(f"{where}.dtype", problem, "take frames as 0 to 255")
    camera = manifest.camera
    if camera is None:
        return
    # yuv420 is six planes of half the size: four of brightness, two of colour
    planes, shrink = (3, 1) if manifest.colour == "rgb" else (6, 2)
    grain = 4 if tensor.role == "wide_frames" else shrink
    if camera.width % grain or camera.height % shrink:
        size = f"{camera.width}x{camera.height}"
        problem = f"expected a width divisible by {grain} and a height by {shrink}, found {size}"
        yield Finding("camera", problem, "change the virtual camera")
    expected = (planes * manifest.history.frames, camera.height // shrink, camera.width // shrink)
    if tensor.shape[1:] != expected:
        problem = f"expected {show(('batch', *expected))}, found {show(tensor.shape)}"
        axes = f"planes x history.frames, height, width of the virtual camera in {manifest.colour}"
        yield Finding(f"{where}.shape", problem, f"{axes}: make them agree")


def _scalar(tensor: Tensor, rows: tuple[Row, ...], where: str) -> Iterator[Finding]:
    allowed = (*FLOATS, "int32", "int64") if tensor.role == "future_count" else FLOATS
    if tensor.dtype not in allowed:
        problem = f"expected {' or '.join(allowed)}, found {tensor.dtype}"
        yield Finding(f"{where}.dtype", problem, "change the graph's input")
    remedy = "change the graph's input or its role"
    yield from _shape(tensor, rows, f"role {tensor.role}", f"{where}.shape", remedy)


def _shape(
    tensor: Tensor, rows: tuple[Row, ...], use: str, where: str, remedy: str
) -> Iterator[Finding]:
    if any(_fits(tensor.shape[1:], row) for row in rows):
        return
    named = [["N" if size is None else size for size in row] for row in rows]
    shapes = " or ".join(show(("batch", *row)) for row in named)
    yield Finding(where, f"expected {shapes} for {use}, found {show(tensor.shape)}", remedy)


def _fits(shape: Shape, row: Row) -> bool:
    return len(shape) == len(row) and all(
        want is None or want == size for size, want in zip(shape, row, strict=True)
    )


def _states(manifest: Manifest) -> Iterator[Finding]:
    inputs = {tensor.name: tensor for tensor in manifest.inputs if tensor.role == "state"}
    outputs = {tensor.name: tensor for tensor in manifest.outputs if tensor.role == "state"}
    for number, pair in enumerate(manifest.states):
        where = f"states[{number}]"
        taken = inputs.pop(pair.input, None)
        given = outputs.pop(pair.output, None)
        if taken is None or given is None:
            tensors = f"an input {pair.input!r} and an output {pair.output!r}"
            problem = f"expected {tensors} of role state, each in one pair"
            yield Finding(where, problem, "state both tensors with role state, and pair each once")
        elif taken.dtype != given.dtype or taken.shape[1:] != given.shape[1:]:
            expected = f"expected {taken.dtype} {show(taken.shape)} as the input"
            problem = f"{expected}, found {given.dtype} {show(given.shape)}"
            remedy = "a state goes from output to input: both need one type and shape"
            yield Finding(where, problem, remedy)
    for name in (*inputs, *outputs):
        problem = f"tensor {name!r} has role state and no pair"
        yield Finding("states", problem, "add {input, output} to states")


def _features(manifest: Manifest) -> Iterator[Finding]:
    """Of the openpilot adapter: the buffer that is fed and the vector that fills it."""
    buffers = [tensor for tensor in manifest.inputs if tensor.role == "features"]
    vectors = [tensor for tensor in manifest.outputs if tensor.role == "features"]
    if len(buffers) != len(vectors) or len(vectors) > 1:
        found = f"{len(vectors)} for {len(buffers)}"
        problem = f"expected one features output for one features input, found {found}"
        remedy = "state the output [batch, F] whose last N values the input [batch, N, F] takes"
        yield Finding("outputs", problem, remedy)
    elif vectors and vectors[0].shape[1:] != buffers[0].shape[2:]:
        expected = f"expected [batch, F] as in the input {show(buffers[0].shape)}"
        problem = f"{expected}, found {show(vectors[0].shape)}"
        yield Finding(f"outputs.{vectors[0].name}.shape", problem, "make F the same in both")


def _action(manifest: Manifest) -> Iterator[Finding]:
    action = manifest.action
    if action is None:
        yield Finding("action", "a model needs an action", "state kind and output of the action")
        return
    kinds = ("curvature", "plan") if manifest.kind == "camera" else ("steer",)
    if action.kind not in kinds:
        problem = f"expected {' or '.join(kinds)} of a {manifest.kind} model, found {action.kind}"
        yield Finding("action.kind", problem, "change action.kind or kind")
    if action.scale == 0:
        problem = "a scale of 0 drops the action"
        yield Finding("action.scale", problem, "state the factor from the output to 1/m")
    times = action.plan_times_s
    if action.kind == "plan" and (
        len(times) < 2 or times[0] < 0 or any(b <= a for a, b in pairwise(times))
    ):
        problem = f"expected at least two rising times from 0 on, found {list(times)}"
        remedy = "state the time of each point of the plan in s"
        yield Finding("action.plan_times_s", problem, remedy)
    rows: tuple[Row, ...] = ((len(times), 2),) if action.kind == "plan" else ONE
    yield from _output(manifest, "action.output", action.output, rows)
    if manifest.acceleration_output is not None:
        if manifest.kind == "controller":
            problem = "a controller gives no acceleration"
            yield Finding("acceleration_output", problem, "leave it out")
        yield from _output(manifest, "acceleration_output", manifest.acceleration_output, ONE)


def _output(manifest: Manifest, field: str, name: str, rows: tuple[Row, ...]) -> Iterator[Finding]:
    tensor = next((tensor for tensor in manifest.outputs if tensor.name == name), None)
    if tensor is None:
        stated = ", ".join(t.name for t in manifest.outputs) or "none is stated"
        yield Finding(
            field, f"expected one of the outputs, found {name!r}", f"name one of: {stated}"
        )
        return
    if tensor.dtype not in FLOATS:
        problem = f"expected {' or '.join(FLOATS)}, found {tensor.dtype}"
        yield Finding(f"outputs.{name}.dtype", problem, "return a float")
    yield from _shape(tensor, rows, field, f"outputs.{name}.shape", "change the output")
