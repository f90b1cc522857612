"""The manifest: what a model is, what it reads and what it answers."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from suites.errors import Finding, SubmitterError
from suites.identity import digest

STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
"""Unknown fields are refused: a typing error must not change what is tested.

NaN and infinities are refused too: they have no identity."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Dtype = Literal["float16", "float32", "float64", "uint8", "int64", "int32", "bool"]
Role = Literal[
    # inputs of camera models
    "frames",
    "wide_frames",
    "speed",
    "acceleration",
    "curvature",
    "desire",
    "traffic",
    "log_plan",
    # inputs of controllers
    "target_lataccel",
    "current_lataccel",
    "roll_lataccel",
    "v_ego",
    "a_ego",
    "future_lataccel",
    "future_roll_lataccel",
    "future_v_ego",
    "future_a_ego",
    "future_count",
    # both
    "state",
    "features",
    # outputs
    "action",
    "plan",
    "acceleration_command",
    "other",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """One ONNX graph of the bundle."""

    __pydantic_config__ = STRICT

    role: Literal["policy", "vision"] = "policy"
    sha256: Sha256
    size_bytes: Annotated[int, Field(gt=0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """One input or output of a graph.

    The first dimension of its shape is the batch (`"batch"`) unless the graph is fixed.
    """

    __pydantic_config__ = STRICT

    name: str
    dtype: Dtype
    shape: tuple[int | str, ...]
    role: Role
    graph: Literal["policy", "vision"] = "policy"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatePair:
    """Recurrent state: what `output` held after one step is fed to `input` at the next.

    `initial` fills it at first.
    """

    __pydantic_config__ = STRICT

    input: str
    output: str
    initial: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualCamera:
    """The pinhole camera that the model sees through, in pixels.

    Mounted at the segment's camera, with roll, pitch and yaw zero: levelled with the vehicle.
    """

    __pydantic_config__ = STRICT

    width: Annotated[int, Field(ge=8, le=2048)]
    height: Annotated[int, Field(ge=8, le=2048)]
    fx: Annotated[float, Field(ge=1, le=1e5)]
    fy: Annotated[float, Field(ge=1, le=1e5)]
    cx: Annotated[float, Field(ge=-1e4, le=1e4)]
    cy: Annotated[float, Field(ge=-1e4, le=1e4)]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Frames that the model sees at once, oldest first, and control steps between two of them."""

    __pydantic_config__ = STRICT

    frames: Annotated[int, Field(ge=1, le=64)] = 1
    stride: Annotated[int, Field(ge=1, le=100)] = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionSpec:
    """What the action output means.

    `curvature`: [B] or [B,1], multiplied by `scale` to get 1/m, left positive.
    `plan`: [B, P, 2] at `plan_times_s`, metres in the ego frame (x forward, y left) at the
    time of the frame.
    `steer`: a controller's action for tinyphysics, [B] or [B,1].
    """

    __pydantic_config__ = STRICT

    kind: Literal["curvature", "plan", "steer"]
    output: str
    scale: float = 1.0
    """Multiplied with the output: unit and sign (-1 for right-positive models) in one number."""
    plan_times_s: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    __pydantic_config__ = STRICT

    format: Literal["redrive.model/1"] = "redrive.model/1"
    name: Annotated[str, StringConstraints(min_length=1, max_length=120)]
    kind: Literal["camera", "controller"]
    adapter: Literal["plain", "openpilot", "builtin"] = "plain"
    builtin: Literal["log", "pid", "zero"] | None = None
    """Code of ours and no graph: `log` drives the logged path, `pid` and `zero` are controllers."""
    graphs: tuple[Graph, ...] = ()
    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()
    states: tuple[StatePair, ...] = ()
    rate_hz: Annotated[float, Field(ge=1, le=200)] = 20.0
    camera: VirtualCamera | None = None
    colour: Literal["rgb", "yuv420"] = "rgb"
    """`rgb`: uint8 planes [B, 3*frames, H, W].
    `yuv420`: openpilot's six planes a frame, [B, 6*frames, H/2, W/2]."""
    history: History = field(default_factory=History)
    action: ActionSpec | None = None
    acceleration_output: str | None = None
    """The output [B] or [B,1] with the wanted acceleration, m/s²; None: the log's speed is kept."""
    desire: Literal["none", "blinker"] = "none"
    """`blinker`: the `desire` input gets the log's blinker as one-hot [none, left, right]."""
    agreement_tolerance: Annotated[float, Field(ge=0)] = 1e-3
    """Largest absolute difference of the action between two runtimes that the submitter accepts."""
    training: dict[str, Any] = field(default_factory=dict)
    """What the trainer wants to say (seed, data, figures): shown, never judged."""

    @property
    def digest(self) -> str:
        """The model's identity."""
        return digest(self)


_MANIFEST = TypeAdapter(Manifest)


def validation_findings(error: ValidationError) -> tuple[Finding, ...]:
    """A pydantic error as findings that name the field, what was found there, and what to do."""
    return tuple(
        Finding(
            ".".join(str(part) for part in e["loc"]) or "(document)",
            *explained(e["type"], e["msg"], e["input"]),
        )
        for e in error.errors()
    )


def explained(kind: str, message: str, found: Any) -> tuple[str, str]:
    """What is wrong and what to do, from the type, message and input of a pydantic error."""
    if kind.startswith("missing"):
        return "is missing", "add it"
    if kind in ("unexpected_keyword_argument", "extra_forbidden"):
        return "is not known here", "remove it, or correct its spelling"
    return f"{message}, found {found!r:.60}", "correct it"


def load_manifest(document: bytes | str | Path) -> Manifest:
    """Manifest from JSON. Raises SubmitterError with one finding for each wrong field."""
    text = document.read_bytes() if isinstance(document, Path) else document
    try:
        return _MANIFEST.validate_json(text)
    except ValidationError as error:
        raise SubmitterError("the manifest is not valid", validation_findings(error)) from None
