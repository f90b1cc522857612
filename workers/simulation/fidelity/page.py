"""The fidelity report as one self-contained HTML page: tables, curves (SVG) and pictures (PNG)."""

import base64
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup
from PIL import Image

from workers.simulation.fidelity import trust_bounds as trust
from workers.simulation.fidelity.bars import Bar
from workers.simulation.fidelity.loop_agreement import Agreement
from workers.simulation.fidelity.report import Report
from workers.simulation.fidelity.stereo import WAYS

COLOURS = ("#1b6ca8", "#d1495b", "#66a182", "#edae49", "#7a5195", "#555555", "#00a5b5", "#a0522d")
WIDTH = 460
HEIGHT = 260
LEFT = 46
BOTTOM = 34
Curves = Mapping[str, Sequence[tuple[float, float]]]

PAGE = Path(__file__).with_name("page.html")


def render(report: Report) -> str:
    """HTML text."""
    sources = list(dict.fromkeys(x.source for x in report.likeness))
    groups = list(dict.fromkeys(g for x in report.likeness for g in x.groups))
    by_name: dict[str, list[Any]] = {}
    for x in report.likeness:
        by_name.setdefault(x.by.name, [x.by.name]).append(f"{x.psnr_db:.1f} / {x.ssim:.3f}")
    values: dict[str, Any] = {
        "r": report,
        "table": table,
        "tolerance": trust.TOLERANCE,
        "slip": trust.SLIP_MPS2,
        "sources": sources,
        "groups": groups,
        "bar_rows": [_bar(b) for b in report.bars],
        "trust_rows": [[k, *(f"{v:.2f}" for v in row.values())] for k, row in report.trust.items()],
        "probe_rows": [
            [p.source, f"{p.r2:.2f}", f"{p.r2_truth:.2f}", f"{p.excess:+.2f}"]
            for p in report.probes
        ],
        "stereo_rows": [
            [p.frame, f"{p.known:.0%}"]
            + [f"{p.psnr_db[way]:.1f} dB / {p.ssim[way]:.2f}" for way in WAYS]
            for p in report.stereo
        ],
        "likeness_rows": list(by_name.values()),
        "group_rows": [
            [x.source, *(f"{x.groups[g]:.1f}" for g in groups)]
            for x in report.likeness
            if x.by.name == "+1 m left"
        ],
        "pictures": [(title, _png(picture)) for title, picture in report.pictures.items()],
        **_loop(report),
        **_curves(report, sources),
    }
    return Environment(autoescape=True).from_string(PAGE.read_text()).render(**values)


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> Markup:
    """An HTML table; cells are escaped."""

    def line(tag: Markup, cells: Sequence[Any]) -> Markup:
        return Markup("<tr>{}</tr>").format(Markup("").join(tag.format(cell) for cell in cells))

    first = line(Markup("<th>{}</th>"), head)
    rest = [line(Markup("<td>{}</td>"), row) for row in rows]
    return Markup("<table>{}{}</table>").format(first, Markup("").join(rest))


def curves(title: str, lines: Curves) -> Markup:
    """An SVG chart with a legend."""
    points = [p for line in lines.values() for p in line if math.isfinite(p[1])]
    if not points:
        return Markup("")
    x0, x1 = min(p[0] for p in points), max(p[0] for p in points)
    y0, y1 = min(p[1] for p in points), max(p[1] for p in points)
    if y0 < 5:
        y0 = min(0.0, y0)
    parts: list[Markup] = []

    def at(x: float, y: float) -> tuple[float, float]:
        across = LEFT + (WIDTH - LEFT - 8) * (x - x0) / max(x1 - x0, 1e-9)
        up = (HEIGHT - BOTTOM - 24) * (y - y0) / max(y1 - y0, 1e-9)
        return round(across, 1), round(HEIGHT - BOTTOM - up, 1)

    def add(element: str, *values: Any) -> None:
        parts.append(Markup(element).format(*values))

    add('<text x="{}" y="14" font-size="13">{}</text>', LEFT, title)
    for k in range(5):
        x, y = x0 + (x1 - x0) * k / 4, y0 + (y1 - y0) * k / 4
        (px, _), (_, py) = at(x, y0), at(x0, y)
        add('<line x1="{}" x2="{}" y1="{}" y2="{}" stroke="#ddd"/>', LEFT, WIDTH - 8, py, py)
        tick = '<text x="{}" y="{}" font-size="11" text-anchor="{}">{:.3g}</text>'
        add(tick, LEFT - 4, py + 4, "end", y)
        add(tick, px, HEIGHT - 20, "middle", x)
    for k, (name, line) in enumerate(lines.items()):
        path = " ".join(f"{a},{b}" for a, b in (at(*p) for p in line))
        colour = COLOURS[k % len(COLOURS)]
        add('<polyline points="{}" fill="none" stroke="{}" stroke-width="2"/>', path, colour)
        place = LEFT + k * (WIDTH - LEFT) / len(lines)
        legend = '<text x="{}" y="{}" font-size="11" fill="{}">{}</text>'
        add(legend, place, HEIGHT - 4, colour, name)
    svg = Markup('<svg width="{}" height="{}" role="img" aria-label="{}">{}</svg>')
    return svg.format(WIDTH, HEIGHT, title, Markup("").join(parts))


def _bar(bar: Bar) -> list[Any]:
    db = {name: f"{value:.1f}" for name, value in {**bar.psnr_db, "worst": bar.worst_db}.items()}
    first = [bar.scene, f"{bar.offset_m:g}", bar.least_db, db["forward"]]
    return [*first, "yes" if bar.holds else "no", db["worst"], db["backward"], db["plane"]]


def _lines(rows: Sequence[Any], group: str, axis: str, value: str) -> Curves:
    """By the attribute `group`: attribute `value` over the displacements along `axis` alone."""
    out: dict[str, list[tuple[float, float]]] = {}
    for x in rows:
        if along := x.by.along(axis):
            out.setdefault(getattr(x, group), []).append((along, getattr(x, value)))
    return {name: sorted(line) for name, line in out.items()}


def _curves(report: Report, sources: Sequence[str]) -> dict[str, Markup]:
    alike = report.likeness
    stored = [x for x in report.responses if x.source == "stored"]
    turned = {
        name: [(math.degrees(angle), db) for angle, db in line]
        for name, line in _lines(alike, "source", "heading_rad", "psnr_db").items()
    }
    shares = {
        s: list(trust.share_of_response(report.responses, s, "lateral_m").items()) for s in sources
    }
    titles: dict[str, tuple[str, Curves]] = {
        "psnr": (
            "PSNR, dB, over lateral offset, m",
            _lines(alike, "source", "lateral_m", "psnr_db"),
        ),
        "ssim": ("SSIM over lateral offset, m", _lines(alike, "source", "lateral_m", "ssim")),
        "heading": ("PSNR, dB, over heading, °", turned),
        "share": ("Error of the answer over its true change, by lateral offset, m", shares),
        "error": (
            "Error of the answer, m/s², by lateral offset, m (stored)",
            _lines(stored, "model", "lateral_m", "error"),
        ),
    }
    return {f"{name}_curve": curves(title, lines) for name, (title, lines) in titles.items()}


def _loop(report: Report) -> dict[str, Any]:
    every = report.agreements
    offsets = list(every[0].failures_agree_by_offset) if every else []
    return {
        "offsets": ", ".join(f"{o:+g}" for o in offsets),
        "loop_names": [a.source for a in every],
        "offset_names": [f"{o:+g} m: failures agree / paths differ" for o in offsets],
        "loop_rows": [_agreement(a) for a in every],
        "offset_rows": [
            [a.source]
            + [
                f"{a.failures_agree_by_offset[o]:.0%} / {a.path_difference_by_offset[o]:.2f} m"
                for o in offsets
            ]
            for a in every
        ],
        "verdict_rows": [
            [pair, *(f"{a.verdicts[pair][0]} → {a.verdicts[pair][1]}" for a in every)]
            for pair in (every[0].verdicts if every else ())
        ],
    }


def _agreement(a: Agreement) -> list[Any]:
    differs = "" if a.ranking == a.ranking_rendered else " (differs)"
    row = [a.source, a.rollouts, a.failures_rendered, a.failures, f"{a.failures_agree:.1%}"]
    row += [f"{a.path_difference_m:.2f}", f"{a.cost_correlation:.2f}"]
    return [*row, " < ".join(a.ranking) + differs, f"{a.verdicts_agree:.0%}"]


def _png(picture: Any) -> str:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
