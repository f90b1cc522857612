"""Policies of a few lines for the simulators' tests: the real protocol, row by row."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suites.manifest import ActionSpec, History, Manifest, StatePair, VirtualCamera
from workers.policy.policy import Action, Observation
from workers.simulation.tests.analytic import EXECUTION

CAMERA = VirtualCamera(width=128, height=64, fx=100.0, fy=100.0, cx=63.5, cy=27.5)
Answer = Callable[[Observation, NDArray[np.int64], int], Action]
"""(observation, number of each row in the first batch, step) to action."""


def manifest(
    camera: VirtualCamera | None = CAMERA, history: int = 1, recurrent: bool = False
) -> Manifest:
    return Manifest(
        name="test",
        kind="camera",
        camera=camera,
        action=ActionSpec(kind="curvature", output="curvature"),
        history=History(frames=history),
        states=(StatePair(input="x_in", output="x_out"),) if recurrent else (),
    )


class Model:
    """Answers what its function says, and remembers which rows are left."""

    execution = EXECUTION

    def __init__(self, answer: Answer, manifest: Manifest) -> None:
        self.provenance: dict[str, Any] = {}
        self.answer, self.manifest, self.rows, self.step = (
            answer,
            manifest,
            np.empty(0, np.int64),
            0,
        )

    def start(self, batch: int) -> None:
        self.rows, self.step = np.arange(batch), 0

    def act(self, observation: Observation) -> Action:
        self.step += 1
        return self.answer(observation, self.rows, self.step - 1)

    def keep(self, rows: NDArray[np.int64]) -> None:
        self.rows = self.rows[rows]

    def close(self) -> None:
        pass


def straight(observation: Observation, rows: NDArray[np.int64], step: int) -> Action:
    """Never steers."""
    return Action(curvature=np.zeros(len(rows)))


def seeing(observation: Observation, rows: NDArray[np.int64], step: int) -> Action:
    """Steers by the brightness of the two halves of its view: every bit of a frame matters."""
    assert observation.frames is not None
    grey = observation.frames.astype(np.float64).sum(axis=3)
    sides = [(row[:, :64].sum() - row[:, 64:].sum()) / row.sum() for row in grey]
    return Action(curvature=0.02 * np.array(sides) + 0.9 * observation.scalars["curvature"])
