"""From observation to feeds and from outputs to action: what every adapter of graphs shares."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suites.errors import Finding
from suites.manifest import Manifest, Tensor
from workers.policy.policy import Action, Observation, PolicyError
from workers.policy.runtimes.runtime import Arrays


@dataclass(frozen=True, slots=True)
class Field:
    """One array of an observation or an action: `shape` is that of one row."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def row_bytes(self) -> int:
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


def row_shape(tensor: Tensor) -> tuple[int, ...]:
    """Shape of one row of a tensor: static checks made every dimension but the batch a number."""
    return tuple(int(size) for size in tensor.shape[1:])


def is_fixed(manifest: Manifest, graph: str) -> bool:
    """Whether a graph takes one row at a time (batch dimension fixed at 1)."""
    return any(tensor.shape[:1] == (1,) for tensor in manifest.inputs if tensor.graph == graph)


def observed_scalars(manifest: Manifest, widths: dict[str, int]) -> tuple[Field, ...]:
    """The frames and the scalars (role to number of values) that an adapter reads."""
    camera = manifest.camera
    frames = (Field("frames", "uint8", (camera.height, camera.width, 3)),) if camera else ()
    return frames + tuple(
        Field(role, "float64", (width,)) for role, width in sorted(widths.items())
    )


def scalar(
    observation: Observation, role: str, batch: int, shape: tuple[int, ...]
) -> NDArray[np.float64]:
    """One scalar input as [B, *shape]. Raises PolicyError when the simulator gives another."""
    value = observation.scalars.get(role)
    if value is None or value.size != batch * math.prod(shape):
        expected = f"expected {math.prod(shape)} value(s) a row for role {role}"
        given = "none" if value is None else value.size // batch
        problem = f"{expected}, this simulator gives {given}"
        remedy = "take what the simulator gives, or choose a suite of another simulator"
        finding = Finding(f"inputs ({role})", problem, remedy)
        raise PolicyError(f"{problem}: {remedy}", (finding,))
    return value.astype(np.float64, copy=False).reshape((batch, *shape))


def desire_or_none(manifest: Manifest, observation: Observation, batch: int) -> NDArray[np.float64]:
    """One-hot [B, 3] (none, left, right); `none` for a manifest without a source of desire."""
    if manifest.desire == "none":
        return np.tile(np.array([1.0, 0.0, 0.0]), (batch, 1))
    return scalar(observation, "desire", batch, (3,))


def action_fields(manifest: Manifest) -> tuple[Field, ...]:
    """The arrays of a policy's action that its manifest promises."""
    assert manifest.action is not None
    if manifest.action.kind == "plan":
        first = Field("plan", "float64", (len(manifest.action.plan_times_s), 2))
    else:
        first = Field("curvature", "float64", ())
    second = (Field("acceleration", "float64", ()),) if manifest.acceleration_output else ()
    return (first, *second)


def read_action(manifest: Manifest, outputs: Arrays, batch: int) -> Action:
    """The action in SI units, ISO 8855. Raises PolicyError for an output of another shape."""
    assert manifest.action is not None
    values: dict[str, NDArray[np.float64]] = {}
    for field in action_fields(manifest):
        accelerates = field.name == "acceleration"
        name = manifest.acceleration_output if accelerates else manifest.action.output
        values[field.name] = _rows(name or "", outputs[name or ""], batch, field.shape)
    with np.errstate(all="ignore"):  # a row that is not finite fails that row, in the engine
        if "curvature" in values:
            values["curvature"] = values["curvature"] * manifest.action.scale
        else:  # a scale below zero turns the sides, never ahead and behind
            scale = manifest.action.scale
            values["plan"] = values["plan"] * np.array([abs(scale), scale])
    return Action(**values)


def _rows(
    name: str, value: NDArray[Any], batch: int, shape: tuple[int, ...]
) -> NDArray[np.float64]:
    if value.shape == (batch, *shape) or value.shape == (batch, *shape, 1):
        return value.reshape((batch, *shape)).astype(np.float64)
    raise wrong_shape(name, (batch, *shape), value.shape)


def wrong_shape(name: str, expected: tuple[int, ...], found: tuple[int, ...]) -> PolicyError:
    """The error of an output whose shape differs from the manifest's while driving."""
    problem = f"expected shape {list(expected)}, found {list(found)}"
    remedy = "make the graph return one row per input row, in the shape that the manifest states"
    finding = Finding(f"outputs.{name}", problem, remedy)
    return PolicyError(f"output {name!r}: {problem}", (finding,))
