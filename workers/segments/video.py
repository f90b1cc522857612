"""`frames.mp4`: H.264 that decodes fast and starts anywhere. Equal frames give equal bytes."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from suites.errors import DataError
from workers.segments.data_errors import IMPORT_AGAIN, data_error

KEYFRAME_EVERY = 10
"""Frames. A read at any frame decodes at most nine others first."""
CRF = 18
"""x264's constant quality; tests/test_video.py states the PSNR that it gives."""

CONTAINER = {"fflags": "+bitexact", "movflags": "+faststart"}
ENCODER = {
    "crf": str(CRF),
    "preset": "veryfast",
    "tune": "fastdecode",
    "bf": "0",
    "flags": "+bitexact",
    "g": str(KEYFRAME_EVERY),
    "keyint_min": str(KEYFRAME_EVERY),
    "sc_threshold": "0",
    "x264-params": "mbtree=0",
    "colorspace": "smpte170m",
}
RGB_TO_YUV = Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
"""Chroma as the mean of its four pixels: the inverse of the fast look-up that decoding uses."""

Frames = NDArray[np.uint8]


def write_video(path: Path, frames: Iterable[Frames], rate_hz: float) -> tuple[int, int, int]:
    """Encode RGB frames [H, W, 3] (H and W even, all alike); returns (frame count, width, height).

    One encoder thread: x264 gives other bytes with two. No macroblock tree: its AVX-512 code rounds
    otherwise than its other code, and once in a hundred small videos otherwise than itself.
    Raises DataError where a frame's shape or type differs.
    """
    count = 0
    shape: tuple[int, ...] = (0, 0, 3)
    reformatter = VideoReformatter()
    with av.open(str(path), "w", format="mp4", options=CONTAINER) as container:
        stream = container.add_stream("libx264", rate=Fraction(rate_hz).limit_denominator(1000))
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        stream.options = dict(ENCODER)
        for array in frames:
            if count == 0:
                shape = array.shape
                if len(shape) != 3 or shape[2] != 3 or shape[0] % 2 or shape[1] % 2 or 0 in shape:
                    problem = f"shape [even H, even W, 3] expected, found {list(shape)}"
                    raise _wrong(path, 0, problem)
                stream.height, stream.width = shape[:2]
            if array.shape != shape or array.dtype != np.uint8:
                found = f"uint8 {list(shape)} expected, found {array.dtype} {list(array.shape)}"
                raise _wrong(path, count, found)
            picture = reformatter.reformat(
                av.VideoFrame.from_ndarray(array, format="rgb24"),
                format="yuv420p",
                dst_colorspace=Colorspace.ITU601,
                interpolation=RGB_TO_YUV,
                threads=1,
            )
            picture.pts = count
            picture.time_base = 1 / stream.codec_context.framerate
            container.mux(stream.encode(picture))
            count += 1
        if count:
            container.mux(stream.encode(None))
    return count, shape[1], shape[0]


def read_video(path: Path, start: int, stop: int, width: int, height: int) -> Frames:
    """RGB uint8 [n, height, width, 3] of [start, stop). Raises DataError naming the bad frame."""
    out = np.empty((stop - start, height, width, 3), np.uint8)
    got = start
    if stop <= start:
        return out
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            assert stream.time_base is not None
            assert stream.average_rate is not None
            ticks = 1 / (stream.time_base * stream.average_rate)
            container.seek(round(start * ticks), stream=stream, backward=True)
            reformatter = VideoReformatter()
            for picture in container.decode(stream):
                index = round((picture.pts or 0) / ticks)
                if index < start:
                    continue
                if index != got or (picture.width, picture.height) != (width, height):
                    break
                rgb = reformatter.reformat(
                    picture, format="rgb24", src_colorspace=Colorspace.ITU601, threads=1
                )
                out[got - start] = rgb.to_ndarray()
                got += 1
                if got == stop:
                    return out
    except (av.FFmpegError, IndexError) as error:
        raise _wrong(path, got, f"cannot be decoded ({error})") from error
    wanted = f"frames [{start}, {stop}) at {width}x{height}"
    raise _wrong(path, got, f"{wanted} expected; this one is missing")


def _wrong(path: Path, frame: int, problem: str) -> DataError:
    return data_error(f"video {path.name}", f"{path}: frame {frame}", problem, IMPORT_AGAIN)
