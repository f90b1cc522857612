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
    """Shape of one row of a tensor; the static checks made every dimension but the batch a number."""
    return tuple(int(size) for size in tensor.shape[1:])


def is_fixed(manifest: Manifest, graph: str) -> bool:
    """Whether a graph takes one row at a time (batch dimension fixed at 1)."""
    return any(tensor.shape[:1] == (1,) for tensor in manifest.inputs if tensor.graph == graph)


def observed_scalars(manifest: Manifest, widths: dict[str, int]) -> tuple[Field, ...]:
    """The frames and the scalars (role to number of values) that an adapter reads of an observation."""
    camera = manifest.camera
    frames = (Field("frames", "uint8", (camera.height, camera.width, 3)),) if camera else ()
    return frames + tuple(
        Field(role, "float64", (width,)) for role, width in sorted(widths.items())
    )


def scalar(
    observation: Observation, role: str, batch: int, shape: tuple[int, ...]
) -> NDArray[np.float64]:
    """One scalar input as [B, *shape]. Raises PolicyError when the simulator gives none, or another number of values."""
    value = observation.scalars.get(role)
    if value is None or value.size != batch * math.prod(shape):
        expected = f"expected {math.prod(shape)} value(s) a row for role {role}"
        found = (
            "this simulator gives none"
            if value is None
            else f"this simulator gives {value.size // batch}"
        )
        remedy = "take what the simulator gives, or choose a suite of another simulator"
        raise PolicyError(
            f"{expected}, {found}: {remedy}",
            (Finding(f"inputs ({role})", f"{expected}, {found}", remedy),),
        )
    return value.astype(np.float64, copy=False).reshape((batch, *shape))


def desire_or_none(manifest: Manifest, observation: Observation, batch: int) -> NDArray[np.float64]:
    """One-hot [B, 3] (none, left, right); always `none` for a manifest without a source of desire."""
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
    return (
        (first, Field("acceleration", "float64", ())) if manifest.acceleration_output else (first,)
    )


def read_action(manifest: Manifest, outputs: Arrays, batch: int) -> Action:
    """The action in SI units, ISO 8855. Raises PolicyError naming an output of another shape than the manifest says."""
    assert manifest.action is not None
    names = {
        "plan": manifest.action.output,
        "curvature": manifest.action.output,
        "acceleration": manifest.acceleration_output,
    }
    values: dict[str, NDArray[np.float64]] = {}
    for field in action_fields(manifest):
        name = names[field.name] or ""
        values[field.name] = _rows(name, outputs[name], batch, field.shape)
    with np.errstate(all="ignore"):  # a row that is not finite fails that row, in the engine
        if "curvature" in values:
            values["curvature"] = values["curvature"] * manifest.action.scale
        else:
            values["plan"] = values["plan"] * np.array(
                [abs(manifest.action.scale), manifest.action.scale]
            )
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
    return PolicyError(
        f"output {name!r}: {problem}", (Finding(f"outputs.{name}", problem, remedy),)
    )
