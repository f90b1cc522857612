"""The memory that a policy's two sides share, and the messages in their pipes.

Both sides compute the layout from the manifest and the number of rows: no offset or shape crosses.
"""

import mmap
import os
import struct
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suites.manifest import Manifest
from workers.policy.adapters.adapter_kinds import ADAPTERS
from workers.policy.adapters.tensors import Field, action_fields, scalar
from workers.policy.policy import Action, Observation

ALIGNMENT = 64
HEADER = struct.Struct("<BI")
"""A command: code and rows. A reply: code and length of the JSON that follows."""


class Command(IntEnum):
    START = 1
    KEEP = 2
    """Followed by the row numbers, int64."""
    STEP = 3


class Reply(IntEnum):
    LOCKED = 1
    """JSON list: the steps of the lock-down that were taken."""
    DONE = 2
    """The graphs are loaded; or one step is answered in the shared memory."""
    MODEL_FAILED = 3
    """JSON {message, findings}: the submitter must act."""
    MACHINE_FAILED = 4
    """JSON {message, findings}: this machine can't."""


class Layout:
    """Where the arrays of at most `rows` rows lie; frames [B, H, W, 3] in planes."""

    def __init__(self, manifest: Manifest, rows: int) -> None:
        self.rows = rows
        self._seen = ADAPTERS[manifest.adapter].observed(manifest)
        self._answered = action_fields(manifest)
        self._offsets: dict[Field, int] = {}
        self.size = 0
        for field in self._seen + self._answered:
            self._offsets[field] = self.size
            self.size += -(-field.row_bytes * rows // ALIGNMENT) * ALIGNMENT

    def write_observation(self, region: mmap.mmap, observation: Observation, batch: int) -> None:
        """Raises PolicyError when the simulator does not give what the manifest asks for."""
        for field in self._seen:
            view = self._view(region, field, batch)
            if field.name == "frames":
                assert observation.frames is not None
                view[...] = observation.frames
            else:
                view[...] = scalar(observation, field.name, batch, field.shape)

    def observation(self, region: mmap.mmap, batch: int) -> Observation:
        """Views, not copies."""
        views = {field.name: self._view(region, field, batch) for field in self._seen}
        return Observation(frames=views.pop("frames", None), scalars=views)

    def write_action(self, region: mmap.mmap, action: Action, batch: int) -> None:
        for field in self._answered:
            self._view(region, field, batch)[...] = getattr(action, field.name)

    def action(self, region: mmap.mmap, batch: int) -> Action:
        """Copies: the other side can't change them any more."""
        views = {field.name: self._view(region, field, batch) for field in self._answered}
        return Action(**{name: view.copy() for name, view in views.items()})

    def _view(self, region: mmap.mmap, field: Field, batch: int) -> NDArray[Any]:
        shape = (batch, *field.shape)
        flat = np.frombuffer(region, field.dtype, int(np.prod(shape)), self._offsets[field])
        if field.name == "frames":
            return flat.reshape(batch, shape[3], *shape[1:3]).transpose(0, 2, 3, 1)
        return flat.reshape(shape)


def read_some(fd: int, most: int) -> bytes:
    """At least one byte of a pipe. Raises EOFError when the other side is gone."""
    data = os.read(fd, most)
    if not data:
        raise EOFError
    return data


def read_exactly(fd: int, count: int) -> bytes:
    """`count` bytes of a pipe. Raises EOFError when the other side is gone."""
    data = b""
    while len(data) < count:
        data += read_some(fd, count - len(data))
    return data
