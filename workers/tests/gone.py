"""Whether processes have ended, for tests that must leave none."""

import os
import select

WAIT_S = 120
"""As long as a busy machine may need; nothing here waits in vain."""


def gone(pid: int) -> bool:
    """Whether a process has ended, buried by its parent or not, after waiting for that."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], WAIT_S)[0])
    finally:
        os.close(descriptor)
