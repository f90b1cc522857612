"""Plain arithmetic against numpy's own functions."""

import math

import numpy as np
import pytest

from workers.simulation.world.exact import arctan, blurred, cos_sin, product


@pytest.mark.parametrize("most", [1.0, 10.0, 1e4, 1e6])
def test_cosine_and_sine(most: float) -> None:
    angles = np.concatenate(
        [np.random.default_rng(1).uniform(-most, most, 5000), np.arange(-8, 9) * (math.pi / 4)]
    )
    cosine, sine = cos_sin(angles)
    assert np.abs(cosine - np.cos(angles)).max() < 3e-16
    assert np.abs(sine - np.sin(angles)).max() < 3e-16


def test_arctangent() -> None:
    slopes = np.concatenate(
        [np.random.default_rng(1).standard_cauchy(5000), [0.0, 1e-300, -1.0, 1e100]]
    )
    assert np.abs(arctan(slopes) - np.arctan(slopes)).max() < 1e-15


def test_products_and_blurs() -> None:
    rng = np.random.default_rng(2)
    a, b, values = rng.normal(size=(3, 3)), rng.normal(size=(3, 2)), rng.normal(size=60)
    assert product(a, b) == pytest.approx(a @ b)
    window = np.hanning(9) / np.hanning(9).sum()
    assert blurred(values, 9) == pytest.approx(
        np.convolve(np.pad(values, 4, mode="edge"), window, mode="valid")
    )
