"""What the exit codes of the commands mean."""

from collections.abc import Mapping
from typing import Any

EXIT_PASS = 0
EXIT_REGRESSION = 1
EXIT_USAGE = 2
EXIT_INCONCLUSIVE = 3
EXIT_OURS = 4
EXIT_TIMED_OUT = 5


def exit_code(run: Mapping[str, Any], allow_inconclusive: bool = False) -> int:
    """0 pass, 1 regression, 3 inconclusive (or cancelled: no verdict), 4 our failure."""
    if run["verdict"] is None:
        return EXIT_OURS if run["status"] == "errored" else EXIT_INCONCLUSIVE
    unclear = EXIT_PASS if allow_inconclusive else EXIT_INCONCLUSIVE
    return {"pass": EXIT_PASS, "fail": EXIT_REGRESSION, "inconclusive": unclear}[run["verdict"]]
