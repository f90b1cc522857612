"""The GPU's benchmark on a machine without one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from numba import cuda

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(cuda.is_available(), reason="there is a CUDA device: run the benchmark")
def test_without_a_device_it_says_so_and_ends_well() -> None:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "benchmarks.gpu"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("skipped: no CUDA device (")
    assert len(done.stdout.splitlines()) == 1
