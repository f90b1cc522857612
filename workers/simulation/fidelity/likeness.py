"""How alike two pictures are."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Frame = NDArray[np.uint8]

C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
SIGMA = 1.5


def psnr(a: Frame, b: Frame) -> float:
    """Peak signal to noise ratio of two pictures [H, W(, 3)], dB; 100 for equal ones."""
    error = float(np.mean((a.astype(np.float64) - b) ** 2))
    return 100.0 if error == 0.0 else float(10.0 * np.log10(255.0**2 / error))


def ssim(a: Frame, b: Frame) -> float:
    """Structural similarity of the luma of two RGB pictures [H, W, 3].

    Source: Wang et al. 2004, with a Gaussian window of 11 pixels.
    """
    x, y = luma(a), luma(b)

    def blurred(image: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(gaussian_filter(image, SIGMA, radius=5, mode="reflect"))

    mx, my = blurred(x), blurred(y)
    xx, yy, xy = blurred(x * x) - mx * mx, blurred(y * y) - my * my, blurred(x * y) - mx * my
    scale = (mx * mx + my * my + C1) * (xx + yy + C2)
    return float(np.mean((2 * mx * my + C1) * (2 * xy + C2) / scale))


def luma(rgb: Frame) -> NDArray[np.float64]:
    """[H, W] grey levels by ITU-R BT.601; grey pictures as they are."""
    if rgb.ndim == 2:
        return rgb.astype(np.float64)
    return np.asarray(rgb.astype(np.float64) @ np.array([0.299, 0.587, 0.114]))
