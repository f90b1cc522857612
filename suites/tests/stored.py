"""Stored JSON that a test holds its findings against: what differs, and how it is written anew."""

import json
import math
from pathlib import Path
from typing import Any

TOLERANCE = 1e-9
"""Relative: last bits of a float may differ between processors. All else is compared exactly."""
SHOWN = 12
"""Differences that a failing test names."""


def write(path: Path, found: Any) -> None:
    """Sorted keys, one value a line: a change is a readable diff."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def check(path: Path, found: Any, module: str) -> None:
    """Fails where `found` is not what is stored; says what differs and which command stores it."""
    kept = json.loads(path.read_text())
    different = differences(kept, json.loads(json.dumps(found)))
    if different:
        rest = len(different) - SHOWN
        lines = [*different[:SHOWN], *([f"... and {rest} more"] if rest > 0 else [])]
        raise AssertionError(
            f"{path.name} holds something else:\n  " + "\n  ".join(lines) + "\n"
            f"Where that is meant, run `python -m {module}` and commit {path.name}."
        )


def differences(kept: Any, found: Any, where: str = "") -> list[str]:
    """`where: stored -> found`, of each place at which two JSON values differ."""
    if isinstance(kept, dict) and isinstance(found, dict):
        lines = []
        for key in sorted(kept.keys() | found.keys()):
            place = f"{where} > {key}" if where else key
            if key not in found:
                lines.append(f"{place}: is gone, was {_short(kept[key])}")
            elif key not in kept:
                lines.append(f"{place}: is new, {_short(found[key])}")
            else:
                lines += differences(kept[key], found[key], place)
        return lines
    if isinstance(kept, list) and isinstance(found, list) and len(kept) == len(found):
        pairs = enumerate(zip(kept, found, strict=True))
        return [line for i, (a, b) in pairs for line in differences(a, b, f"{where} > {i}")]
    if isinstance(kept, float) and isinstance(found, float):
        same = math.isclose(kept, found, rel_tol=TOLERANCE, abs_tol=1e-15)
    else:
        same = type(kept) is type(found) and kept == found
    return [] if same else [f"{where}: {_short(kept)} -> {_short(found)}"]


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 300 else text[:300] + "…"
