"""Following a run on standard error, in one line that moves or in a few lines."""

import sys
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from server.client import Client
from suites.formatting import unit_ending
from suites.vocabulary import Until

QUIET_S = 15.0
"""Without a terminal, at least so long passes between two lines, s."""


def progress_line(run: Mapping[str, Any]) -> str:
    """`running · 123 of 480 rollouts · 6.2/s · 58 s left · 3 failed`, then the evidence so far."""
    progress = run["progress"]
    parts = [run["status"], f"{progress['done']} of {progress['total']} rollouts"]
    if progress["rollouts_per_s"]:
        parts.append(f"{progress['rollouts_per_s']:.1f}/s")
    if progress["seconds_left"]:
        parts.append(f"{progress['seconds_left']:.0f} s left")
    ended: Counter[str] = Counter()
    for outcomes in progress["outcomes"].values():
        ended.update(outcomes)
    del ended["completed"]
    parts += [f"{count} {outcome.replace('_', ' ')}" for outcome, count in ended.items()]
    if progress["infra_failed"]:
        parts.append(f"{progress['infra_failed']} could not be driven")
    if worst := progress["worst"]:
        parts.append(_worst(worst))
    evidence = ((run["verdict_document"] or {}).get("method") or {}).get("evidence")
    if evidence and not run["verdict"]:
        seen = f"{max(evidence['e_values']):.2g} of {evidence['threshold']:g}"
        parts.append(f"evidence of a change {seen}, not a verdict")
    return " · ".join(parts)


def _worst(case: Mapping[str, Any]) -> str:
    values = f"{case['candidate']:.3g} against {case['baseline']:.3g}{unit_ending(case['unit'])}"
    return f"worst so far {case['case_id']}: {values}"


def follow(
    client: Client, run_id: str, timeout_s: float | None, until: Until = "decided"
) -> dict[str, Any]:
    """The run when it is decided, or nothing more of it is driven. Raises WaitTimeout.
    KeyboardInterrupt passes through: the run goes on."""
    moving = sys.stderr.isatty()
    written = float("-inf")
    last = ""
    run: dict[str, Any] = {}
    try:
        look_s = 1.0 if moving else 5.0
        for run in client.follow(run_id, timeout_s=timeout_s, look_s=look_s, until=until):
            line = progress_line(run)
            if moving:
                sys.stderr.write(f"\r\x1b[K{line[:160]}")
                sys.stderr.flush()
            elif line != last and time.monotonic() - written >= QUIET_S:
                print(line, file=sys.stderr, flush=True)
                written = time.monotonic()
                last = line
    finally:
        if moving:
            sys.stderr.write("\n")
    return run
