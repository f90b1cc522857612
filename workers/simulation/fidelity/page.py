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
from workers.simulation.fidelity.report import Report

COLOURS = ("#1b6ca8", "#d1495b", "#66a182", "#edae49", "#7a5195", "#555555", "#00a5b5", "#a0522d")
WIDTH = 460
HEIGHT = 260
LEFT = 46
BOTTOM = 34
LOOP_HEAD = (
    "depth",
    "rollouts",
    "failed (rendered)",
    "failed",
    "failures agree",
    "paths differ, m",
    "costs correlate",
    "ranking",
    "verdicts agree",
)
Curves = Mapping[str, Sequence[tuple[float, float]]]

PAGE = Path(__file__).with_name("page.html")


def render(report: Report) -> str:
    """HTML text."""
    sources = list(dict.fromkeys(x.source for x in report.likeness))
    groups = list(dict.fromkeys(g for x in report.likeness for g in x.groups))
    values: dict[str, Any] = {
        "r": report,
        "table": table,
        "tolerance": trust.TOLERANCE,
        "slip": trust.SLIP_MPS2,
        "sources": sources,
        "groups": groups,
        "bar_rows": [
            [
                b.scene,
                f"{b.offset_m:g}",
                b.least_db,
                f"{b.psnr_db['forward']:.1f}",
                "yes" if b.holds else "no",
            ]
            + [f"{db:.1f}" for db in (b.worst_db, b.psnr_db["backward"], b.psnr_db["plane"])]
            for b in report.bars
        ],
        "trust_rows": [[k, *(f"{v:.2f}" for v in row.values())] for k, row in report.trust.items()],
        "probe_rows": [
            [p.source, f"{p.r2:.2f}", f"{p.r2_truth:.2f}", f"{p.excess:+.2f}"]
            for p in report.probes
        ],
        "stereo_rows": [
            [
                p.frame,
                f"{p.known:.0%}",
                *(
                    f"{p.psnr_db[w]:.1f} dB / {p.ssim[w]:.2f}"
                    for w in ("neighbours", "plane", "unmoved")
                ),
            ]
            for p in report.stereo
        ],
        "likeness_rows": [
            [
                name,
                *(f"{x.psnr_db:.1f} / {x.ssim:.3f}" for x in report.likeness if x.by.name == name),
            ]
            for name in dict.fromkeys(x.by.name for x in report.likeness)
        ],
        "group_rows": [
            [x.source, *(f"{x.groups[g]:.1f}" for g in groups)]
            for x in report.likeness
            if x.by.name == "+1 m left"
        ],
        "psnr_curve": curves("PSNR, dB, over lateral offset, m", _lateral(report, "psnr_db")),
        "ssim_curve": curves("SSIM over lateral offset, m", _lateral(report, "ssim")),
        "heading_curve": curves("PSNR, dB, over heading, °", _heading(report)),
        "pictures": [(title, _png(picture)) for title, picture in report.pictures.items()],
        **_loop(report),
        **_response_curves(report, sources),
    }
    return Environment(autoescape=True).from_string(PAGE.read_text()).render(**values)


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> Markup:
    """An HTML table; cells are escaped."""
    line = Markup("<tr>{}</tr>").format
    first = line(Markup("").join(Markup("<th>{}</th>").format(cell) for cell in head))
    rest = [
        line(Markup("").join(Markup("<td>{}</td>").format(cell) for cell in row)) for row in rows
    ]
    return Markup("<table>{}{}</table>").format(first, Markup("").join(rest))


def curves(title: str, lines: Curves) -> Markup:
    """An SVG chart with a legend."""
    points = [p for line in lines.values() for p in line if math.isfinite(p[1])]
    if not points:
        return Markup("")
    x0, x1 = min(p[0] for p in points), max(p[0] for p in points)
    y0, y1 = (
        min(0.0, *(p[1] for p in points))
        if min(p[1] for p in points) < 5
        else min(p[1] for p in points),
        max(p[1] for p in points),
    )

    def at(x: float, y: float) -> tuple[float, float]:
        across = LEFT + (WIDTH - LEFT - 8) * (x - x0) / max(x1 - x0, 1e-9)
        return round(across, 1), round(
            HEIGHT - BOTTOM - (HEIGHT - BOTTOM - 24) * (y - y0) / max(y1 - y0, 1e-9), 1
        )

    parts = [Markup('<text x="{}" y="14" font-size="13">{}</text>').format(LEFT, title)]
    for k in range(5):
        x, y = x0 + (x1 - x0) * k / 4, y0 + (y1 - y0) * k / 4
        (px, _), (_, py) = at(x, y0), at(x0, y)
        parts.append(
            Markup('<line x1="{}" x2="{}" y1="{}" y2="{}" stroke="#ddd"/>').format(
                LEFT, WIDTH - 8, py, py
            )
        )
        parts.append(
            Markup('<text x="{}" y="{}" font-size="11" text-anchor="end">{:.3g}</text>').format(
                LEFT - 4, py + 4, y
            )
        )
        parts.append(
            Markup('<text x="{}" y="{}" font-size="11" text-anchor="middle">{:.3g}</text>').format(
                px, HEIGHT - 20, x
            )
        )
    for k, (name, line) in enumerate(lines.items()):
        path = " ".join(f"{a},{b}" for a, b in (at(*p) for p in line))
        colour = COLOURS[k % len(COLOURS)]
        parts.append(
            Markup('<polyline points="{}" fill="none" stroke="{}" stroke-width="2"/>').format(
                path, colour
            )
        )
        legend = Markup('<text x="{}" y="{}" font-size="11" fill="{}">{}</text>')
        parts.append(
            legend.format(LEFT + k * (WIDTH - LEFT) / len(lines), HEIGHT - 4, colour, name)
        )
    body = Markup("").join(parts)
    return Markup('<svg width="{}" height="{}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, HEIGHT, title, body
    )


def _lateral(report: Report, what: str) -> Curves:
    out: dict[str, list[tuple[float, float]]] = {}
    for x in report.likeness:
        if x.by.lateral_m and not x.by.longitudinal_m and not x.by.heading_rad:
            out.setdefault(x.source, []).append((x.by.lateral_m, getattr(x, what)))
    return {name: sorted(line) for name, line in out.items()}


def _heading(report: Report) -> Curves:
    out: dict[str, list[tuple[float, float]]] = {}
    for x in report.likeness:
        if x.by.heading_rad and not x.by.lateral_m and not x.by.longitudinal_m:
            out.setdefault(x.source, []).append((math.degrees(x.by.heading_rad), x.psnr_db))
    return {name: sorted(line) for name, line in out.items()}


def _response_curves(report: Report, sources: Sequence[str]) -> dict[str, Any]:
    shares = {
        s: list(trust.share_of_response(report.responses, s, "lateral_m").items()) for s in sources
    }
    errors: dict[str, list[tuple[float, float]]] = {}
    for x in report.responses:
        if (
            x.source == "stored"
            and x.by.lateral_m
            and not x.by.longitudinal_m
            and not x.by.heading_rad
        ):
            errors.setdefault(x.model, []).append((x.by.lateral_m, x.error))
    return {
        "share_curve": curves(
            "Error of the answer over its true change, by lateral offset, m", shares
        ),
        "error_curve": curves(
            "Error of the answer, m/s², by lateral offset, m (stored)",
            {k: sorted(v) for k, v in errors.items()},
        ),
    }


def _loop(report: Report) -> dict[str, Any]:
    every = report.agreements
    offsets = list(every[0].failures_agree_by_offset) if every else []
    return {
        "loop_head": LOOP_HEAD,
        "offsets": ", ".join(f"{o:+g}" for o in offsets),
        "loop_names": [a.source for a in every],
        "offset_names": [f"{o:+g} m: failures agree / paths differ" for o in offsets],
        "loop_rows": [
            [
                a.source,
                a.rollouts,
                a.failures_rendered,
                a.failures,
                f"{a.failures_agree:.1%}",
                f"{a.path_difference_m:.2f}",
                f"{a.cost_correlation:.2f}",
                " < ".join(a.ranking) + ("" if a.ranking == a.ranking_rendered else " (differs)"),
                f"{a.verdicts_agree:.0%}",
            ]
            for a in every
        ],
        "offset_rows": [
            [
                a.source,
                *(
                    f"{a.failures_agree_by_offset[o]:.0%} / {a.path_difference_by_offset[o]:.2f} m"
                    for o in offsets
                ),
            ]
            for a in every
        ],
        "verdict_rows": [
            [pair, *(f"{a.verdicts[pair][0]} → {a.verdicts[pair][1]}" for a in every)]
            for pair in (every[0].verdicts if every else ())
        ],
    }


def _png(picture: Any) -> str:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
