"""What the benchmarks' command lines share: reports are printed, and kept only where asked."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from suites.formatting import rate_text
from suites.verdict.planted_effects import rate

RESULTS = Path(__file__).parent / "results"


def command_line(doc: str | None) -> argparse.ArgumentParser:
    """Shows a module's docstring as its help."""
    formatter = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(description=doc, formatter_class=formatter)


def can_write(parser: argparse.ArgumentParser) -> None:
    """Adds the flag that `publish` asks for."""
    parser.add_argument("--write", action="store_true", help="keep the report in results/ as well")


def publish(text: str, name: str, write: bool) -> None:
    """Prints a report; with `write` also replaces results/`name`."""
    print(text)
    if write:
        (RESULTS / name).write_text(text)


def share(values: Sequence[float], digits: int = 0) -> str:
    """`97 % [94, 98]`: the share of ones with its 95 % interval (Wilson)."""
    found = rate(int(sum(values)), len(values))
    return rate_text(float(np.mean(values)), found.low, found.high, digits)
