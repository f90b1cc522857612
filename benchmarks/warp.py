"""The re-projection kernels against what one would write first: numpy maps with cv2.remap, torch.

    python -m benchmarks.warp [--torch PYTHON] [--rounds 200]

First the quality of the three warps on the committed scenes (workers/simulation/fidelity/bars.py).
Then CPU milliseconds a view at 128 x 256, medians of interleaved rounds in one run, on one thread.
`--torch`: a Python with torch, which is timed in a process of its own right after.
"""

import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.result_pages import command_line
from workers.simulation.fidelity.bars import bars
from workers.simulation.fidelity.report import worlds
from workers.simulation.fidelity.shots import (
    FULL,
    LEVELLED_MOUNT,
    LOGGED_MOUNT,
    Displacement,
    Shot,
    take,
)
from workers.simulation.fidelity.view_sources import COLUMNS, LENS, ROWS, SLACK
from workers.simulation.views.geometry import Lens, between, inverse
from workers.simulation.views.warp import Warp, inverse_depth, packed

BY = Displacement(lateral_m=0.7, heading_rad=0.02)

TORCH = """
import statistics, sys, time
import numpy as np, torch
torch.set_num_threads(1)
data = np.load(sys.argv[1])
picture, near, back, rounds = data["picture"], data["near"], data["back"], int(sys.argv[2])
h, w = 128, 256
def view():
    frame = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    q = torch.from_numpy(near)[None, None]
    q = torch.nn.functional.interpolate(q, size=picture.shape[:2], mode="bilinear")
    q = q[0, 0, 16:144, 32:288]
    m = torch.from_numpy(back)
    down, across = (torch.arange(n, dtype=torch.float32) for n in (h, w))
    v, u = torch.meshgrid(down, across, indexing="ij")
    rays = torch.stack([(u - 127.5) / 200, (v - 59.5) / 200, torch.ones_like(u)], dim=-1)
    p = rays @ m[:, :3].T + q[..., None] * m[:, 3]
    x, y = 200 * p[..., 0] / p[..., 2] + 159.5, 200 * p[..., 1] / p[..., 2] + 75.5
    grid = torch.stack([2 * x / 319 - 1, 2 * y / 159 - 1], dim=-1)[None]
    how = {"mode": "bilinear", "padding_mode": "border", "align_corners": True}
    out = torch.nn.functional.grid_sample(frame, grid, **how)
    return out[0].round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
view()
times = []
for _ in range(rounds):
    start = time.process_time()
    view()
    times.append(time.process_time() - start)
print(1000 * statistics.median(times))
"""


def remapped(shot: Shot, near: NDArray[np.float32], back: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A backward view by numpy coordinate maps and cv2.remap."""
    full = cv2.resize(near, (LENS.width, LENS.height), interpolation=cv2.INTER_LINEAR)
    full = full[16:144, 32:288]
    v, u = np.mgrid[0:128, 0:256].astype(np.float32)
    rays = np.stack([(u - 127.5) / 200, (v - 59.5) / 200, np.ones_like(u)], axis=-1)
    p = rays @ back[:, :3].T + full[..., None] * back[:, 3]
    x, y = 200 * p[..., 0] / p[..., 2] + 159.5, 200 * p[..., 1] / p[..., 2] + 75.5
    x, y = x.astype(np.float32), y.astype(np.float32)
    out = cv2.remap(shot.picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(out, np.uint8)


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--torch", type=Path)
    parser.add_argument("--rounds", type=int, default=200)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        for bar in bars(worlds(Path(folder), take(Path(folder)))):
            text = "; ".join(f"{how} {db:.1f} dB" for how, db in bar.psnr_db.items())
            text += f"; forward on its worst frame {bar.worst_db:.1f}; bar {bar.least_db} dB"
            print(f"{bar.scene} at {bar.offset_m:g} m: {text}", flush=True)
        shot = take(Path(folder), scenes=((0, 0),), rows=(40,))[0]
        near = inverse_depth(shot.depth)
        warp = Warp(LENS, Lens.of(FULL), (ROWS, COLUMNS), SLACK)
        motion = between(shot.pose, LOGGED_MOUNT, shot.displaced(BY), LEVELLED_MOUNT)
        picture = packed(shot.picture[None], 1)[0]
        back = inverse(motion).astype(np.float32)
        out = np.empty((128, 256, 3), np.uint8)
        ways: dict[str, Callable[[], object]] = {
            "forward, with occlusion": lambda: warp.forward(picture, near, motion, out),
            "backward": lambda: warp.backward(picture, near, motion, out),
            "numpy maps + cv2.remap": lambda: remapped(shot, near, back),
        }
        for way in ways.values():
            way()
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(options.rounds):
            for name, way in ways.items():
                start = time.process_time()
                way()
                times[name].append(time.process_time() - start)
        cost = {name: 1000 * statistics.median(row) for name, row in times.items()}
        if options.torch is not None:
            data = Path(folder) / "view.npz"
            np.savez(data, picture=shot.picture, near=near, back=back)
            command = [str(options.torch), "-c", TORCH, str(data), str(options.rounds)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            cost["torch grid_sample"] = float(done.stdout)
    for name, ms in cost.items():
        forward, backward = ms / cost["forward, with occlusion"], ms / cost["backward"]
        print(f"{name}: {ms:.3f} ms; {forward:.2f}x forward, {backward:.2f}x backward")


if __name__ == "__main__":
    main()
