"""Suites and stored segments that the tests of this folder start from."""

from suites.segment import SegmentMeta, Vehicle

SUITE = """
name = "overall"
kind = "overall"
offsets = [{}, { lateral_m = 0.5 }]
order_seed = 7

[select]
tags_none = ["night"]

[[gates]]
metric = "lateral_error_mean_m"
margin = 0.1
"""
CASE = """
name = "specific"
kind = "specific"

[[cases]]
name = "hugging"
segment = "r0/0"
start_s = 2.0
end_s = 8.0
repeats = 2
noise = { pose_m = 0.05 }
[[cases.conditions]]
always = { signal = "lateral_offset_m", absolute = true, below = 0.5 }
"""


def meta(route: int, number: int, *tags: str, duration_s: float = 15.0) -> SegmentMeta:
    return SegmentMeta(
        segment_id=f"r{route}/{number}",
        route=f"r{route}",
        source="test/1",
        kind="camera",
        frame_count=300,
        rate_hz=20,
        duration_s=duration_s,
        camera=None,
        vehicle=Vehicle(),
        depth_source=None,
        tags=tags,
    )


METAS = [meta(r, n) for r in range(5) for n in range(3)] + [meta(9, 0, "night")]
