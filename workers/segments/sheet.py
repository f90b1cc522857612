"""Contact sheet of a segment: frames with the driven path, and what the log says beneath."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.spatial.transform import Rotation

from suites.segment import DRIVER_CODES, Camera, Floats, SegmentColumns, Vehicle
from workers.segments.store import StoredSegment
from workers.segments.video import Frames

COLUMNS, ROWS = 4, 3
TILE_WIDTH, STRIP_HEIGHT, TEXT_HEIGHT, MARGIN = 320, 84, 15, 8
PATH_S = 4.0
"""How far ahead in time the path is drawn."""
NEAREST_M = 1.0
"""Points closer to the camera are left out."""
BACKGROUND = (250, 250, 248)
INK = (30, 30, 30)
FAINT = (205, 205, 200)
PATH = (0, 158, 115)
DRIVER_INK = {
    "unknown": FAINT,
    "human": (0, 114, 178),
    "model": (230, 159, 0),
    "takeover": (213, 94, 0),
}
STRIPS = (
    ("speed_mps", "speed, m/s"),
    ("curvature", "curvature, 1/m, left positive"),
    ("roll_rad", "bank of the road, rad"),
)


def write_sheet(path: Path, segment: StoredSegment) -> None:
    """Write the contact sheet (PNG). A controls segment has no frames: strips and words only."""
    camera = segment.meta.camera
    lines = _words(segment)
    tiles = _tiles(segment, camera) if camera else []
    tile_height = round(TILE_WIDTH * camera.height / camera.width) if camera else 0
    tiles_height = -(-len(tiles) // COLUMNS) * (tile_height + MARGIN)
    strips_height = len(STRIPS) * (STRIP_HEIGHT + MARGIN)
    width = COLUMNS * TILE_WIDTH + (COLUMNS + 1) * MARGIN
    top = MARGIN + TEXT_HEIGHT * len(lines) + MARGIN
    height = top + tiles_height + strips_height + TEXT_HEIGHT + MARGIN
    sheet = Image.new("RGB", (width, height), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    for number, line in enumerate(lines):
        draw.text((MARGIN, MARGIN + number * TEXT_HEIGHT), line, INK)
    for number, tile in enumerate(tiles):
        x = MARGIN + number % COLUMNS * (TILE_WIDTH + MARGIN)
        y = top + number // COLUMNS * (tile_height + MARGIN)
        sheet.paste(tile.resize((TILE_WIDTH, tile_height)), (x, y))
    top += tiles_height
    for name, title in STRIPS:
        box = (MARGIN, top, width - MARGIN, top + STRIP_HEIGHT)
        _strip(draw, box, segment.columns, name, title)
        top += STRIP_HEIGHT + MARGIN
    _drivers(draw, top, width, segment.columns)
    sheet.save(path)


def path_pixels(
    columns: SegmentColumns, row: int, camera: Camera, aside_m: float
) -> list[tuple[float, float]]:
    """Pixels, in frame `row`, of the ground `aside_m` left of the path of the next PATH_S."""
    now = columns.t_s[row]
    rows = np.flatnonzero((columns.t_s >= now) & (columns.t_s <= now + PATH_S))
    yaw = columns.yaw_rad[rows]
    x = columns.x_m[rows] - aside_m * np.sin(yaw) - columns.x_m[row]
    y = columns.y_m[rows] + aside_m * np.cos(yaw) - columns.y_m[row]
    c, s = np.cos(columns.yaw_rad[row]), np.sin(columns.yaw_rad[row])
    # The ground is flat for the eye: seen from the ego, as the plane depth has it.
    on_ground = np.stack([c * x + s * y, -s * x + c * y, np.zeros(len(rows))], axis=1)
    return [(float(u), float(v)) for u, v in _project(camera, on_ground)]


def with_path(
    frame: Frames, columns: SegmentColumns, row: int, camera: Camera, vehicle: Vehicle
) -> Image.Image:
    """The frame with both edges of the driven path on it."""
    picture = Image.fromarray(frame)
    draw = ImageDraw.Draw(picture)
    for side in (0.5, -0.5):
        points = path_pixels(columns, row, camera, side * vehicle.width_m)
        if len(points) > 1:
            draw.line(points, fill=PATH, width=max(1, camera.width // 200))
    return picture


def _project(camera: Camera, points: Floats) -> NDArray[np.float64]:
    """Pixels [m, 2] of the points [n, 3] in the vehicle frame that lie before the camera."""
    angles = [camera.yaw_rad, camera.pitch_rad, camera.roll_rad]
    mounting = Rotation.from_euler("ZYX", angles).as_matrix()  # capitals: about the turned axes
    seen = (points - [camera.forward_m, camera.left_m, camera.up_m]) @ mounting
    ahead, left, up = seen[seen[:, 0] > NEAREST_M].T
    u = camera.cx - camera.fx * left / ahead
    v = camera.cy - camera.fy * up / ahead
    return np.stack([u, v], axis=1)


def _tiles(segment: StoredSegment, camera: Camera) -> list[Image.Image]:
    tiles = []
    columns = segment.columns
    for row in np.unique(np.linspace(0, len(columns) - 1, COLUMNS * ROWS).round().astype(int)):
        frame = segment.frames(row, row + 1)[0]
        tile = with_path(frame, columns, int(row), camera, segment.meta.vehicle)
        time = f"{columns.t_s[row]:.1f} s"
        draw = ImageDraw.Draw(tile)
        draw.text((4, 2), time, (255, 255, 255), stroke_width=1, stroke_fill=(0, 0, 0))
        tiles.append(tile)
    return tiles


def _words(segment: StoredSegment) -> list[str]:
    meta = segment.meta
    frames = f"{meta.frame_count} frames at {meta.rate_hz:g} Hz"
    return [
        f"{meta.segment_id}   {meta.duration_s:.1f} s   {frames}   {meta.source}",
        f"tags: {', '.join(meta.tags) or 'none'}   depth: {meta.depth_source or 'none'}",
        f"missing: {', '.join(meta.missing) or 'nothing'}",
    ]


def _strip(
    draw: ImageDraw.ImageDraw,
    box: tuple[int, int, int, int],
    columns: SegmentColumns,
    name: str,
    title: str,
) -> None:
    left, top, right, bottom = box
    values = getattr(columns, name)
    draw.rectangle(box, outline=FAINT)
    known = values[np.isfinite(values)]
    if not len(known):
        draw.text((left + 4, top + 2), f"{title}: missing", INK)
        return
    low, high = float(known.min()), float(known.max())
    draw.text((left + 4, top + 2), f"{title}: {low:.4g} to {high:.4g}", INK)
    x = left + (right - left) * columns.t_s / max(float(columns.t_s[-1]), 1e-9)
    y = bottom - 4 - (bottom - top - TEXT_HEIGHT - 10) * (values - low) / max(high - low, 1e-9)
    points = [(float(a), float(b)) for a, b in zip(x, y, strict=True)]
    for i in np.flatnonzero(np.isfinite(values[:-1]) & np.isfinite(values[1:])):
        draw.line(points[i : i + 2], fill=PATH, width=2)


def _drivers(draw: ImageDraw.ImageDraw, top: int, width: int, columns: SegmentColumns) -> None:
    """A bar of who drove when, and its legend."""
    x = MARGIN + (width - 2 * MARGIN) * columns.t_s / max(float(columns.t_s[-1]), 1e-9)
    names = {code: name for name, code in DRIVER_CODES.items()}
    for i in range(len(columns) - 1):
        ink = DRIVER_INK[names[int(columns.driver[i])]]
        draw.rectangle((float(x[i]), top, float(x[i + 1]), top + 4), fill=ink)
    place = MARGIN
    for name, ink in DRIVER_INK.items():
        draw.rectangle((place, top + 9, place + 8, top + 14), fill=ink)
        draw.text((place + 12, top + 5), name, INK)
        place += 90
