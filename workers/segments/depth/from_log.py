"""Depth that the log itself has: lidar, or the right camera of a rectified stereo pair.

The left camera's frames are those that are stored. What neither source knows is filled (fill.py).
Maps and pictures show the view of the stored frames, at any scale.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from suites.errors import DataError
from suites.segment import Camera
from workers.segments.data_errors import data_error
from workers.segments.depth.disparity import disparity
from workers.segments.depth.fill import Inverse, filled
from workers.segments.depth.plane import ground_depth
from workers.segments.depth_codec import Depth
from workers.segments.store import StoredSegment
from workers.segments.video import Frames

PER_METRE = 256.0
"""16-bit grey PNGs of metres times 256 along the camera's axis, 0 where no beam came back.

As in KITTI's depth completion benchmark (Uhrig et al. 2017)."""
NEAREST_M = 2.0
"""Of what stereo is matched for."""
LEAST_MATCHED = 0.25
"""Share of the pixels that must match over a segment.

Measured: 0.7 to 0.95 for pairs, 0.16 and less for pictures of two places, 0.04 for noise."""
SCALE = 3.0
"""The road in the lowest quarter of the view may be this many times nearer or farther than the
camera's height tells. Beyond, the unit, the baseline or the side is wrong."""
AT_ONCE = 20


def lidar_depth(folder: Path, segment: StoredSegment) -> Iterator[Depth]:
    """Filled depth [h, w] of each stored frame, at half its resolution.

    folder: one map a frame (*.png, PER_METRE) in the order of their names.
    Raises DataError naming what is missing, damaged, empty or not such a map.
    """
    camera = _camera(segment)

    def views() -> Iterator[tuple[Inverse, Frames]]:
        paths = _listed(folder, ("*.png",), segment.meta.frame_count)
        for path, picture in zip(paths, _stored(segment), strict=True):
            near = _map(path)
            _check_view(path, near.shape[1], near.shape[0], camera)
            yield near, picture

    return _all_filled(folder, views(), camera, 0.0)


def stereo_depth(right: Path, baseline_m: float, segment: StoredSegment) -> Iterator[Depth]:
    """Filled depth [h, w] of each stored frame, at half its resolution.

    right: the rectified right camera's pictures, one a frame: a video, or a folder of PNGs or JPEGs
    in the order of their names. baseline_m: how far right of the stored camera it stands.
    Raises DataError naming what is missing, damaged, or no right picture of the stored left one.
    """
    camera = _camera(segment)
    size = camera.width, camera.height

    def views() -> Iterator[tuple[Inverse, Frames]]:
        pictures = _pictures(right, segment.meta.frame_count)
        for (where, picture), left in zip(pictures, _stored(segment), strict=True):
            _check_view(where, picture.shape[1], picture.shape[0], camera)
            scaled = Image.fromarray(picture).resize(size, Image.Resampling.BOX)
            yield stereo_inverse(left, np.asarray(scaled, np.uint8), camera, baseline_m), left

    return _all_filled(right, views(), camera, LEAST_MATCHED)


def stereo_inverse(left: Frames, right: Frames, camera: Camera, baseline_m: float) -> Inverse:
    """[H, W] inverse depth 1/m of the left picture of a rectified pair, NaN where unknown."""
    focal_m = camera.fx * baseline_m
    return disparity(left, right, int(np.ceil(focal_m / NEAREST_M))).astype(np.float64) / focal_m


def lidar_inverse(metres: NDArray[np.floating]) -> Inverse:
    """[H, W] inverse depth 1/m of a sparse map, NaN where it is 0."""
    return np.where(metres > 0, 1.0 / np.where(metres > 0, metres, 1.0), np.nan)


def _all_filled(
    where: Path, views: Iterable[tuple[Inverse, Frames]], camera: Camera, least_known: float
) -> Iterator[Depth]:
    """Raises DataError at the end, before anything is published, if it can't be right."""
    shares: list[float] = []
    scales: list[float] = []
    for near, picture in views:
        height, width = near.shape
        known = np.isfinite(near)
        shares.append(float(known.mean()))
        ground = ground_depth(camera, width, height)
        low = known & np.isfinite(ground) & (np.arange(height)[:, None] >= height * 3 // 4)
        if low.any():
            scales.append(float(np.median(near[low] * ground[low])))
        yield filled(near, picture, camera, camera.width // 2, camera.height // 2)
    if (share := np.mean(shares)) < least_known:
        match = f"only {share:.0%} of the pixels match the stored frames"
        raise _unfit(where, f"{match}: a rectified right camera expected")
    if scales and not 1.0 / SCALE <= (scale := np.median(scales)) <= SCALE:
        far = f"{1.0 / max(scale, 1e-3):.3g} times as far as the camera's height tells"
        raise _unfit(where, f"the road is {far}: are unit, baseline and side right?")


def _map(path: Path) -> Inverse:
    image = _opened(path)
    if image.format != "PNG" or not image.mode.startswith("I"):
        found = f"found {image.format} {image.mode}"
        raise _unfit(path, f"a 16-bit grey PNG of metres times 256 expected, {found}")
    raw = np.asarray(image, np.float64)
    if not raw.any():
        raise _unfit(path, "no beam came back: all of the map is 0")
    return lidar_inverse(raw / PER_METRE)


def _pictures(right: Path, count: int) -> Iterator[tuple[Path | str, Frames]]:
    """(where it is, RGB) of each of a folder's pictures, or of a video's."""
    if not right.is_dir():
        yield from _video(right, count)
        return
    for path in _listed(right, ("*.png", "*.jpg", "*.jpeg"), count):
        yield path, np.asarray(_opened(path).convert("RGB"), np.uint8)


def _opened(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            image.load()
        return image
    except (OSError, UnidentifiedImageError) as error:
        raise _unfit(path, f"cannot be read ({error})") from error


def _video(path: Path, count: int) -> Iterator[tuple[str, Frames]]:
    got = 0
    try:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                if got == count:
                    raise _unfit(path, f"{count} frames expected as stored, found more")
                yield f"{path}: frame {got}", np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
                got += 1
    except (av.FFmpegError, IndexError) as error:
        raise _unfit(f"{path}: frame {got}", f"cannot be decoded ({error})") from error
    if got < count:
        raise _unfit(path, f"{count} frames expected as stored, found {got}")


def _listed(folder: Path, patterns: tuple[str, ...], count: int) -> list[Path]:
    paths = sorted(path for pattern in patterns for path in folder.glob(pattern))
    if len(paths) != count:
        expected = f"{count} files ({', '.join(patterns)}) expected, one a stored frame"
        raise _unfit(folder, f"{expected}, found {len(paths)}")
    return paths


def _stored(segment: StoredSegment) -> Iterator[Frames]:
    count = segment.meta.frame_count
    for start in range(0, count, AT_ONCE):
        yield from segment.frames(start, min(start + AT_ONCE, count))


def _camera(segment: StoredSegment) -> Camera:
    if segment.meta.camera is None:
        problem = f"a {segment.meta.kind} segment has no frames that depth could belong to"
        raise _unfit(segment.folder, problem)
    return segment.meta.camera


def _check_view(where: Path | str, width: int, height: int, camera: Camera) -> None:
    if abs(width * camera.height / height - camera.width) > 2.0:
        expected = f"the view of {camera.width}x{camera.height} frames at some scale expected"
        raise _unfit(where, f"{expected}, found {width}x{height}")


def _unfit(where: Path | str, problem: str) -> DataError:
    return data_error(f"depth cannot be taken from {where}", where, problem)
