"""Following a run on standard error: one line that moves on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Mapping
from typing import Any

from server.client import Client

QUIET_S = 15.0
"""Without a terminal, a line is written at most so often, s."""


def progress_line(run: Mapping[str, Any]) -> str:
    """`running · 123 of 480 rollouts · 6.2/s · 58 s left · 3 failed · evidence of a change 2.1 of 80, not a verdict`."""
    progress = run["progress"]
    parts = [run["status"], f"{progress['done']} of {progress['total']} rollouts"]
    if progress["rollouts_per_s"]:
        parts.append(f"{progress['rollouts_per_s']:.1f}/s")
    if progress["seconds_left"]:
        parts.append(f"{progress['seconds_left']:.0f} s left")
    ended: dict[str, int] = {}
    for outcomes in progress["outcomes"].values():
        for outcome, count in outcomes.items():
            ended[outcome] = ended.get(outcome, 0) + count
    parts += [
        f"{count} {outcome.replace('_', ' ')}"
        for outcome, count in ended.items()
        if outcome != "completed"
    ]
    if progress["infra_failed"]:
        parts.append(f"{progress['infra_failed']} could not be driven")
    worst = progress["worst"]
    if worst:
        unit = "" if worst["unit"] == "1" else f" {worst['unit']}"
        parts.append(
            f"worst so far {worst['case_id']}: {worst['candidate']:.3g} against {worst['baseline']:.3g}{unit}"
        )
    evidence = ((run["verdict_document"] or {}).get("method") or {}).get("evidence")
    if evidence and not run["verdict"]:
        parts.append(
            f"evidence of a change {max(evidence['e_values']):.2g} of {evidence['threshold']:g}, not a verdict"
        )
    return " · ".join(parts)


def follow(client: Client, run_id: str, timeout_s: float | None) -> dict[str, Any]:
    """The run when its verdict is final. Raises WaitTimeout; KeyboardInterrupt passes through: the run goes on."""
    moving = sys.stderr.isatty()
    written, last, run = float("-inf"), "", {}
    try:
        for run in client.follow(run_id, timeout_s=timeout_s, look_s=1.0 if moving else 5.0):
            line = progress_line(run)
            if moving:
                sys.stderr.write(f"\r\x1b[K{line[:160]}")
                sys.stderr.flush()
            elif line != last and time.monotonic() - written >= QUIET_S:
                print(line, file=sys.stderr, flush=True)
                written, last = time.monotonic(), line
    finally:
        if moving:
            sys.stderr.write("\n")
    return run
