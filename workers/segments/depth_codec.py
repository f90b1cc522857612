"""`depth.zst`: log inverse depth in one byte a pixel, in zstd frames that can be read one by one.

The container is Zstandard's seekable format (facebook/zstd, contrib/seekable_format); any zstd tool
unpacks it to the raw codes [n, h, w]:

    zstd frame | zstd frame | ... | skippable frame: (packed, raw) bytes of each | count, magic
"""

import os
import struct
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import zstandard
from numpy.typing import NDArray

from workers.segments.data_errors import IMPORT_AGAIN, data_error

CHUNK_FRAMES = 10
"""Frames that one zstd frame holds: the unit of random access."""
LEVEL = 3
SKIPPABLE_MAGIC, SEEKABLE_MAGIC = 0x184D2A5E, 0x8F92EAB1

Depth = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthCodec:
    """Code 0 is *unknown*, 1 is `far_m` or beyond (the sky), 255 is `near_m` or nearer.

    Between are steps of equal ratio: with the defaults one step is 2.2 % of the depth.
    """

    width: int
    height: int
    near_m: float = 1.0
    far_m: float = 250.0

    def encode(self, depth: Depth) -> NDArray[np.uint8]:
        """Metres (any shape) to codes. NaN, zero and negative are unknown; infinity is far."""
        known = depth > 0
        # In float64: processors disagree on the last bit of a logarithm. In float32 a code would
        # now and then be another one.
        metres = np.clip(np.where(known, depth, 1.0).astype(np.float64), self.near_m, self.far_m)
        ratio = np.log(metres / self.far_m)
        code = np.rint(1 + 254 * ratio / np.log(self.near_m / self.far_m))
        return np.where(known, code, 0).astype(np.uint8)

    def decode(self, codes: NDArray[np.uint8]) -> Depth:
        """Codes to metres: float32, NaN where unknown."""
        steps = (np.arange(256) - 1) / 254
        table = (self.far_m * (self.near_m / self.far_m) ** steps).astype(np.float32)
        table[0] = np.nan
        return table.take(codes)


def write_depth(
    path: Path, frames: Iterable[Depth], near_m: float, far_m: float
) -> tuple[int, dict[str, Any]]:
    """Store frames [h, w] in metres; returns (frame count, what `SegmentMeta.depth` holds)."""
    codec = DepthCodec(width=0, height=0, near_m=near_m, far_m=far_m)
    count = 0
    sizes = []
    remaining = iter(frames)
    with path.open("wb") as file:
        while chunk := list(islice(remaining, CHUNK_FRAMES)):
            if count == 0:
                height, width = chunk[0].shape[:2]
                codec = replace(codec, width=width, height=height)
            for number, frame in enumerate(chunk, count):
                if frame.shape != (codec.height, codec.width):
                    expected = f"shape {[codec.height, codec.width]} expected"
                    problem = f"{expected}, found {list(frame.shape)}"
                    raise data_error(f"depth {path.name}", f"{path}: frame {number}", problem)
            raw = codec.encode(np.stack(chunk)).tobytes()
            packed = zstandard.ZstdCompressor(level=LEVEL).compress(raw)
            sizes.append((len(packed), len(raw)))
            count += len(chunk)
            file.write(packed)
        table = b"".join(struct.pack("<II", *size) for size in sizes)
        footer = struct.pack("<IBI", len(sizes), 0, SEEKABLE_MAGIC)
        file.write(struct.pack("<II", SKIPPABLE_MAGIC, len(table) + len(footer)) + table + footer)
    return count, asdict(codec)


def read_depth(path: Path, codec: DepthCodec, start: int, stop: int) -> Depth:
    """Frames [start, stop): float32 [n, h, w] m, NaN where unknown. Raises DataError."""
    size = codec.width * codec.height
    codes = np.empty((max(stop - start, 0), size), np.uint8)
    try:
        with path.open("rb") as file:
            position = first = 0
            for packed, raw in _sizes(file):
                n = raw // size
                if first < stop and first + n > start:
                    file.seek(position)
                    unzstd = zstandard.ZstdDecompressor()
                    data = unzstd.decompress(file.read(packed), max_output_size=raw)
                    chunk = np.frombuffer(data, np.uint8).reshape(n, size)
                    low = max(start, first)
                    high = min(stop, first + n)
                    codes[low - start : high - start] = chunk[low - first : high - first]
                position += packed
                first += n
        if stop > first:
            raise ValueError(f"{first} frames found, {stop} expected")
    except (OSError, ValueError, struct.error, zstandard.ZstdError) as error:
        problem = f"cannot be read ({error})"
        raise data_error(f"depth {path.name}", path, problem, IMPORT_AGAIN) from error
    return codec.decode(codes.reshape(-1, codec.height, codec.width))


def _sizes(file: BinaryIO) -> list[tuple[int, int]]:
    """(packed, raw) bytes of each zstd frame, from the seek table at the file's end."""
    end = file.seek(0, os.SEEK_END)
    file.seek(max(end - 9, 0))
    count, _, magic = struct.unpack("<IBI", file.read())
    if magic != SEEKABLE_MAGIC or end < 17 + 8 * count:
        raise ValueError("no seek table at its end")
    file.seek(end - 9 - 8 * count)
    return list(struct.iter_unpack("<II", file.read(8 * count)))
