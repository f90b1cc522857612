"""comma's learned lateral dynamics in lock-step: equal to the public simulator, bit for bit.

Source: commaai/controls_challenge, tinyphysics.py (semantics as facts). The public one drives one
segment at a time; here a batch is a structure of arrays.

    row        0 ......... 20 ............. 100 .............. 500 ...
               history     controller is    its answer is     costs end
                           called           driven; costs

Per step the transformer sees 20 (action, roll, speed, acceleration) rows and 20 tokens of lateral
acceleration, and one token is drawn from softmax(logits / 0.8). The draws are made up front: steps
whose prediction is discarded, before control starts, cost no inference and keep the sequence.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from suites.errors import DataError, Finding, SubmitterError
from suites.manifest import Manifest
from suites.parameters import parse_controls
from suites.rollout import DriveKey, Trace
from suites.simulators import SIMULATORS
from suites.vocabulary import Outcome
from workers.policy.policy import Action, Observation
from workers.segments.store import read_segment
from workers.simulation.simulator import RolloutEnd
from workers.simulation.tinyphysics.dynamics_graph import lean

Floats = NDArray[np.float64]

RATE_HZ = 10.0
CONTEXT = 20
CONTROL_START = 100
COST_END = 500
FUTURE_STEPS = 49
VOCABULARY = 1024
LATACCEL_RANGE = (-5.0, 5.0)
STEER_RANGE = (-2.0, 2.0)
MAX_DELTA = 0.5
TEMPERATURE = 0.8
GRAVITY = 9.81
BINS = np.linspace(*LATACCEL_RANGE, VOCABULARY)
NEEDED = ("roll", "vEgo", "aEgo", "targetLateralAcceleration", "steerCommand")


def public_seed(text: str) -> int:
    """The public script's seed: md5 of the data path, modulo 10,000."""
    return int(hashlib.md5(text.encode(), usedforsecurity=False).hexdigest(), 16) % 10**4


def encode(lataccel: Floats) -> NDArray[np.int64]:
    """Tokens of lateral accelerations."""
    tokens = np.digitize(np.clip(lataccel, *LATACCEL_RANGE), BINS, right=True)
    return np.asarray(tokens, dtype=np.int64)


def sample(logits: NDArray[np.float32], uniform: Floats) -> NDArray[np.int64]:
    """One token per row [B] of logits [B, 1024] f32: the inverse CDF, in the precision of numpy."""
    scaled = logits / TEMPERATURE
    weights = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    cumulative = (weights / weights.sum(axis=-1, keepdims=True)).astype(np.float64).cumsum(axis=-1)
    cumulative /= cumulative[:, -1:]
    # searchsorted(side="right") in a sorted row is the count of entries that are not larger.
    return np.asarray(np.count_nonzero(cumulative <= uniform[:, None], axis=1), dtype=np.int64)


class Dynamics:
    """The transformer. Raises DataError when the file is not the expected network."""

    def __init__(self, path: Path) -> None:
        try:
            model = onnx.load(path, load_external_data=False)
            session = _session(model)
        except Exception as error:  # onnx, protobuf and onnxruntime each raise classes of their own
            finding = Finding(str(path), str(error)[:300])
            problem = f"{path} is no ONNX model that can be loaded"
            raise DataError(problem, (finding,)) from None
        names = {i.name for i in session.get_inputs()}
        if names != {"states", "tokens"}:
            finding = Finding(str(path), f"expected inputs states, tokens; found {sorted(names)}")
            raise DataError(f"{path} is no tinyphysics model", (finding,))
        self._session = session
        rewritten = lean(model)
        if rewritten is not None:
            # Fused, a sum and its normalisation are slower than apart, and the last bits differ.
            fast = _session(rewritten, disabled_optimizers=["SkipLayerNormFusion"])
            if all(
                np.array_equal(_last(session, feeds), _last(fast, feeds)) for feeds in _probes()
            ):
                self._session = fast

    def logits(self, states: NDArray[np.float32], tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        """Last-step logits [B, 1024] for states [B, 20, 4] and tokens [B, 20]."""
        return _last(self._session, {"states": states, "tokens": tokens})


def _session(model: onnx.ModelProto, **settings: Any) -> Any:
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"], **settings
    )


def _last(session: Any, feeds: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
    output: NDArray[np.float32] = session.run(None, feeds)[0]
    return output[:, -1] if output.ndim == 3 else output


def _probes() -> Iterator[dict[str, NDArray[Any]]]:
    """Inputs on which the rewritten graph must agree with the given one to the bit."""
    generator = np.random.default_rng(0)
    for batch in (1, 2, 7, 32):
        states = generator.normal(0, 1, (batch, CONTEXT, 4)).astype(np.float32)
        states[:, :, 2] *= 20  # speeds
        yield {"states": states, "tokens": generator.integers(0, VOCABULARY, (batch, CONTEXT))}


@lru_cache(maxsize=2)
def _dynamics(path: Path, modified_ns: int) -> Dynamics:
    """Kept from one shard to the next: to load and to check it takes as long as half a segment."""
    return Dynamics(path)


@dataclass(slots=True)
class TinyState:
    """B rows; `step`, the same for all, is the row of the log that is driven next.

    Columns N: the longest log and the future plan after it; each row goes on with its last value.
    """

    step: int
    length: NDArray[np.int64]
    """[B] steps that are driven, rows of the log before control included."""
    target: Floats
    states: Floats
    """[B, N, 4] action, roll acceleration, speed, acceleration; actions are filled step by step."""
    logged_steer: Floats
    uniforms: Floats
    """[B, N] one draw per step from CONTEXT on."""
    lataccel: Floats
    """[B, N] target up to the start of control, then simulated."""
    log_length: NDArray[np.int64]
    policy_time: Floats


class TinyPhysics:
    """Parameters: suites.parameters.ControlsParameters."""

    name = "tinyphysics"
    version = SIMULATORS["tinyphysics"].version

    def __init__(
        self, segments_root: Path, parameters: dict[str, Any], auxiliary: dict[str, Path]
    ) -> None:
        told = parse_controls(parameters)
        self._root = segments_root
        self._full = told.full
        self._seed_string = told.seed_string
        dynamics = auxiliary["dynamics"]
        modified_ns = dynamics.stat().st_mtime_ns if dynamics.is_file() else 0
        self._dynamics = _dynamics(dynamics, modified_ns)

    def begin(self, keys: Sequence[DriveKey], manifest: Manifest) -> TinyState:
        if manifest.kind != "controller":
            found = f"expected controller, found {manifest.kind}"
            raise SubmitterError(
                f"model {manifest.name} is a {manifest.kind}; tinyphysics drives controllers",
                (Finding("manifest.kind", found, "choose a camera suite for it"),),
            )
        tables = [_table(self._root, key.scenario.segment_id) for key in keys]
        lengths = np.array([len(t["vEgo"]) for t in tables])
        width = int(lengths.max()) + FUTURE_STEPS

        def stack(name: str) -> Floats:
            columns = [t[name] for t in tables]
            return np.stack([np.pad(c, (0, width - len(c)), mode="edge") for c in columns])

        steer = -stack("steerCommand")
        roll = np.sin(stack("roll")) * GRAVITY
        states = np.stack([steer, roll, stack("vEgo"), stack("aEgo")], axis=-1)
        uniforms = np.zeros((len(keys), width))
        for row, key in enumerate(keys):
            generator = np.random.RandomState(self._seed(key))  # the public script's generator
            uniforms[row, CONTEXT : lengths[row]] = generator.random_sample(lengths[row] - CONTEXT)
        target = stack("targetLateralAcceleration")
        return TinyState(
            step=CONTEXT,
            length=lengths if self._full else np.minimum(lengths, COST_END),
            target=target,
            states=states,
            logged_steer=states[:, :, 0].copy(),
            uniforms=uniforms,
            lataccel=target.copy(),
            log_length=lengths,
            policy_time=np.zeros_like(target),
        )

    def warm_up_steps(self, state: TinyState) -> int:
        """None: the controller is called from row 20 on, and not driven until control starts."""
        return 0

    def observe(self, state: TinyState) -> Observation:
        i = state.step
        rows = state.states[:, i, :]
        future = slice(i + 1, i + 1 + FUTURE_STEPS)
        count = np.clip(state.log_length - i - 1, 0, FUTURE_STEPS)
        return Observation(
            scalars={
                "target_lataccel": state.target[:, i],
                "current_lataccel": state.lataccel[:, i - 1],
                "roll_lataccel": rows[:, 1],
                "v_ego": rows[:, 2],
                "a_ego": rows[:, 3],
                "future_lataccel": state.target[:, future],
                "future_roll_lataccel": state.states[:, future, 1],
                "future_v_ego": state.states[:, future, 2],
                "future_a_ego": state.states[:, future, 3],
                "future_count": count.astype(np.float64),
            }
        )

    def step(
        self, state: TinyState, action: Action, policy_time_s: float
    ) -> tuple[TinyState, RolloutEnd]:
        i = state.step
        if action.curvature is None:
            raise SubmitterError("tinyphysics needs a steer action; this model answers with a plan")
        steer = action.curvature if i >= CONTROL_START else state.logged_steer[:, i]
        state.states[:, i, 0] = np.clip(steer, *STEER_RANGE)
        state.policy_time[:, i] = policy_time_s
        if i >= CONTROL_START:
            states = state.states[:, i - CONTEXT + 1 : i + 1].astype(np.float32)
            tokens = encode(state.lataccel[:, i - CONTEXT : i])
            logits = self._dynamics.logits(states, tokens)
            predicted = BINS[sample(logits, state.uniforms[:, i])]
            current = state.lataccel[:, i - 1]
            state.lataccel[:, i] = np.clip(predicted, current - MAX_DELTA, current + MAX_DELTA)
        state.step += 1
        done = np.flatnonzero(state.step >= state.length)
        n = len(done)
        return state, RolloutEnd(rows=done, outcomes=(Outcome.COMPLETED,) * n, reasons=("",) * n)

    def keep(self, state: TinyState, rows: NDArray[np.int64]) -> TinyState:
        kept = {f.name: getattr(state, f.name)[rows] for f in fields(state) if f.name != "step"}
        return TinyState(step=state.step, **kept)

    def provenance(self, state: TinyState, row: int) -> dict[str, Any]:
        return {}

    def trace(self, state: TinyState, row: int) -> Trace:
        index = np.arange(CONTEXT, min(state.step, int(state.length[row])))
        return Trace(
            simulator=self.name,
            rate_hz=RATE_HZ,
            planned_steps=int(state.length[row]) - CONTEXT,
            columns={
                "t_s": index / RATE_HZ,
                "policy_time_s": state.policy_time[row, index],
                "target_lataccel_mps2": state.target[row, index],
                "lataccel_mps2": state.lataccel[row, index],
                "action": state.states[row, index, 0],
                "speed_mps": state.states[row, index, 2],
                "cost_window": ((index >= CONTROL_START) & (index < COST_END)).astype(np.float64),
            },
        )

    def _seed(self, key: DriveKey) -> int:
        if self._seed_string is None:
            return key.seed % 2**32
        segment = key.scenario.segment_id.rsplit("/", 1)[-1]
        return public_seed(self._seed_string.replace("{segment}", segment))


def _table(root: Path, segment_id: str) -> dict[str, Floats]:
    table = read_segment(root, segment_id).table
    missing = [name for name in NEEDED if name not in table]
    if missing:
        finding = Finding(segment_id, f"no column {', '.join(missing)}")
        raise DataError(f"segment {segment_id} is no controls segment", (finding,))
    used = {"steerCommand": CONTROL_START}  # behind it the log's steering is not read
    for name in NEEDED:
        finite = np.isfinite(table[name][: used.get(name)]).all()
        if not finite or len(table[name]) <= CONTROL_START + 1:
            wanted = f"needs {CONTROL_START + 2} rows of finite numbers"
            finding = Finding(f"{segment_id}: {name}", wanted, "import it again")
            raise DataError(f"segment {segment_id} cannot be driven", (finding,))
    return table
