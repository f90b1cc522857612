"""The device's kernels against the CPU's in numba's CUDA simulator (benchmarks.gpu: a real one)."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[4]


def test_views_of_the_cuda_kernels_are_the_cpu_s_to_the_bit() -> None:
    """Every warp and displacement over a board, holes, zeros, infinities and empty rows.

    Batches over two segments whose frames are staged ahead.
    """
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error", "-m", "workers.simulation.views.tests.cuda_views"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    views = json.loads(done.stdout)
    assert len(views) == 23
    assert [name for name, (equal, _) in views.items() if not equal] == []
    assert all(colours > 20 for _, colours in views.values())
