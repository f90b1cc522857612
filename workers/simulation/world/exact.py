"""Sine, cosine, arctangent, products and blurs in plain arithmetic: equal on every processor.

numpy, the C library and BLAS choose their code by what the processor can do, and each choice rounds
otherwise: a world made with AVX-512 would differ in last bits from the same one made without.
IEEE 754 fixes sums, products, quotients and roots. What is stored is computed from these alone.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve1d

Floats = NDArray[np.float64]

QUARTER = (1.5707963267341256, 6.077100506303966e-11, 2.0222662487959506e-21)
"""Of a turn, in three parts. The first two have 33 bits: up to 2^20 times them is exact.

Source: Cody and Waite 1980, Software Manual for the Elementary Functions, ch. 8.
"""
SINE = [(-1.0) ** k / math.factorial(2 * k + 1) for k in range(9)]
COSINE = [(-1.0) ** k / math.factorial(2 * k) for k in range(10)]
ARCTANGENT = [(-1.0) ** k / (2 * k + 1) for k in range(13)]
"""Taylor series: the rest is below 1e-17 up to an eighth of a turn (arctangent: a 32nd)."""


def cos_sin(angle: Floats) -> tuple[Floats, Floats]:
    """(cosine, sine) of angles in radians, any shape, up to 1e6."""
    quarters = np.rint(angle * (2.0 / math.pi))
    rest = ((angle - quarters * QUARTER[0]) - quarters * QUARTER[1]) - quarters * QUARTER[2]
    cosine = _series(COSINE, rest * rest)
    sine = rest * _series(SINE, rest * rest)
    which = quarters.astype(np.int64) & 3
    cosine, sine = np.where(which & 1, sine, cosine), np.where(which & 1, cosine, sine)
    return np.where((which == 1) | (which == 2), -cosine, cosine), np.where(which >= 2, -sine, sine)


def arctan(slope: Floats) -> Floats:
    """Radians, any shape. The angle is halved three times before its series is summed."""
    for _ in range(3):
        slope = slope / (1.0 + np.sqrt(1.0 + slope * slope))
    return np.asarray(8.0 * slope * _series(ARCTANGENT, slope * slope))


def product(a: Floats, b: Floats) -> Floats:
    """a b, [n, k] by [k, m]."""
    return np.asarray((a[:, :, None] * b[None]).sum(axis=1))


def blurred(values: Floats, count: int) -> Floats:
    """[n] averaged over `count` samples (odd) with weights of a raised cosine, zero at its ends.

    Beyond its own ends `values` stays as it is there.
    """
    window = 1.0 + cos_sin(np.linspace(-math.pi, math.pi, count))[0]
    return np.asarray(convolve1d(values, window / window.sum(), mode="nearest"))


def _series(coefficients: list[float], x: Floats) -> Floats:
    total = np.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        total = total * x + coefficient
    return total
