"""Disparity of a rectified stereo pair: semi-global matching (Hirschmüller 2008, in OpenCV)."""

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
"""[H, W] grey or [H, W, 3] RGB."""

BLOCK = 3
SMALL_STEP, LARGE_STEP = 8 * 3 * BLOCK**2, 32 * 3 * BLOCK**2
"""Penalties for neighbours whose disparities differ by one pixel, and by more.

As OpenCV proposes for three channels."""
UNIQUE_PERCENT = 10
SPECKLE_PIXELS = 50
AGREE = 1.0
"""Pixels by which matching left to right and right to left may differ."""


def disparity(left: Picture, right: Picture, most: int) -> NDArray[np.float32]:
    """[H, W] pixels by which a point of the left picture lies farther left in the right one.

    From 0 to `most` in steps of 1/16; NaN where the two pictures do not choose each other.
    """
    most += -most % 16
    matcher = cv2.StereoSGBM.create(
        minDisparity=0,
        numDisparities=most,
        blockSize=BLOCK,
        P1=SMALL_STEP,
        P2=LARGE_STEP,
        uniquenessRatio=UNIQUE_PERCENT,
        speckleWindowSize=SPECKLE_PIXELS,
        speckleRange=1,
        mode=cv2.STEREO_SGBM_MODE_HH,
    )
    forth = _matched(matcher, left, right, most)
    back = _matched(matcher, right[:, ::-1], left[:, ::-1], most)[:, ::-1]
    width = forth.shape[1]
    there = np.rint(np.arange(width) - forth).astype(np.int64)
    from_there = np.take_along_axis(back, np.clip(there, 0, width - 1), axis=1)
    same = np.abs(from_there - forth) <= AGREE
    return np.where((forth >= 0) & (there >= 0) & same, forth, np.float32(np.nan))


def _matched(
    matcher: cv2.StereoSGBM, one: Picture, other: Picture, most: int
) -> NDArray[np.float32]:
    """The matcher leaves `most` columns out on the left: the pictures are widened by as many."""
    edge = cv2.BORDER_REPLICATE
    pair = (np.ascontiguousarray(one), np.ascontiguousarray(other))
    wide = [cv2.copyMakeBorder(picture, 0, 0, most, 0, edge) for picture in pair]
    return np.asarray(matcher.compute(*wide)[:, most:], np.float32) / np.float32(16.0)
