"""One picture of a whole corpus: a view from the middle of each segment, with its id and tags."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from suites.segment import SegmentMeta
from workers.segments.sheet import BACKGROUND, INK
from workers.segments.store import read_segment

COLUMNS, TEXT_HEIGHT = 6, 14
MOST = 120


def write_sheet(path: Path, root: Path, metas: Sequence[SegmentMeta]) -> None:
    """Write a PNG of the first MOST camera segments, COLUMNS a row, at the stored frames' size."""
    shown = [meta for meta in metas if meta.camera is not None][:MOST]
    cameras = [meta.camera for meta in shown if meta.camera]
    width = max((camera.width for camera in cameras), default=320)
    height = max((camera.height for camera in cameras), default=0) + 2 * TEXT_HEIGHT
    size = COLUMNS * width, max(1, -(-len(shown) // COLUMNS) * height)
    sheet = Image.new("RGB", size, BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    for number, meta in enumerate(shown):
        x = number % COLUMNS * width
        y = number // COLUMNS * height
        middle = meta.frame_count // 2
        frame = read_segment(root, meta.segment_id, verify=False).frames(middle, middle + 1)[0]
        sheet.paste(Image.fromarray(frame), (x, y + 2 * TEXT_HEIGHT))
        draw.text((x + 3, y), meta.segment_id, INK)
        draw.text((x + 3, y + TEXT_HEIGHT), " ".join(meta.tags), INK)
    sheet.save(path)
