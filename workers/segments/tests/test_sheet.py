"""The contact sheet, and where the driven path lies in a frame."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from suites.segment import DRIVER_CODES
from workers.segments.sheet import DRIVER_INK, PATH, path_pixels, with_path, write_sheet
from workers.segments.store import read_segment, write_segment
from workers.segments.tests.segment_parts import CAMERA, COUNT, camera_meta, depths, moving_frames
from workers.simulation.tests.columns import straight_columns

COLUMNS = straight_columns(COUNT, 20.0)


def test_a_straight_path_runs_to_the_horizon() -> None:
    points = path_pixels(COLUMNS, 0, CAMERA, 0.9)
    for u, v in points:
        ahead = 1.3 * 60 / (v - 15.5)
        assert u == pytest.approx(31.5 - 60 * 0.9 / ahead)
    assert points[-1][1] == pytest.approx(15.5 + 60 * 1.3 / (COLUMNS.x_m[-1] - 1.4))


def test_a_path_to_the_left_is_left_in_the_picture() -> None:
    turned = replace(COLUMNS, y_m=0.01 * COLUMNS.x_m**2, yaw_rad=np.arctan(0.02 * COLUMNS.x_m))
    ego = path_pixels(turned, 0, CAMERA, 0.0)
    assert ego[-1][0] < 31.5 - 3
    later = path_pixels(turned, 10, CAMERA, 0.0)
    assert later[0][0] == pytest.approx(31.5, abs=6), "seen from where the ego is then"


def test_the_path_is_drawn() -> None:
    drawn = np.asarray(
        with_path(np.zeros((32, 64, 3), np.uint8), COLUMNS, 0, CAMERA, camera_meta().vehicle)
    )
    ink = (drawn == PATH).all(axis=2)
    assert ink[20:, :32].any()
    assert ink[20:, 32:].any()
    assert not ink[:15].any()


@pytest.mark.parametrize("kind", ["camera", "controls"])
def test_a_sheet_shows_frames_strips_and_drivers(kind: str, tmp_path: Path) -> None:
    columns = replace(COLUMNS, speed_mps=np.full(COUNT, np.nan)) if kind == "controls" else COLUMNS
    if kind == "camera":
        write_segment(tmp_path, camera_meta(), columns, moving_frames(), depths())
    else:
        driven = np.full(COUNT, DRIVER_CODES["model"])
        write_segment(
            tmp_path,
            camera_meta(kind=kind, camera=None),
            replace(columns, driver=driven),
            None,
            None,
        )
    write_sheet(tmp_path / "sheet.png", read_segment(tmp_path, "route/0"))
    with Image.open(tmp_path / "sheet.png") as sheet:
        pixels = np.asarray(sheet)
    assert pixels.shape[1] > 1000
    assert (pixels.shape[0] > 700) == (kind == "camera")
    bar = pixels[-24:, pixels.shape[1] // 2]
    assert (bar == DRIVER_INK["human" if kind == "camera" else "model"]).all(axis=1).any()
