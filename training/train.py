"""Train the shipped camera policies in the procedural world and export them as ONNX.

    pip install 'torch>=2.13'
    python -m training.train --out models [--routes 40] [--epochs 12]

`cloned` is pure behaviour cloning: logged poses only, the driven curvature as an input. Its
open-loop error is the lowest of all, because copying the present curvature is nearly always right,
and so it drifts (copycat problem: Wen et al. 2020; open loop ranks the wrong way round: Goff et al.
2025). `baseline` and its near-twins see the same drives from displaced poses too and learn the way
back: they share the first epochs and part for the last, each with a seed of its own, as the
checkpoints of one training run do.
"""

import argparse
import io
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import torch
from torch import nn

from suites.identity import canonical_json, file_digest
from suites.manifest import ActionSpec, Graph, Manifest, Tensor
from training.data import VIEW, Samples, collect

BATCH = 128
CURVATURE_SCALE = 0.01
"""1/m per unit of the network's output and of its curvature input."""
SCALARS: tuple[Literal["speed", "curvature", "desire"], ...] = ("speed", "curvature", "desire")
INPUTS = {
    "frames": ("batch", 3, VIEW.height, VIEW.width),
    "speed": ("batch",),
    "curvature": ("batch",),
    "desire": ("batch", 3),
}


@dataclass(frozen=True, slots=True)
class Recipe:
    name: str
    seed: int
    displaced: bool
    note: str
    start: str | None = None
    """The recipe that it goes on from."""


TRUNK = Recipe("trunk", 0, True, "what the baseline and its near-twins share")
TWIN = "near-twin of the baseline"
RECIPES = (
    Recipe("baseline", 1, True, "trained with offsets: recovers", "trunk"),
    Recipe("twin", 2, True, f"{TWIN}: the last epochs from another seed", "trunk"),
    Recipe("twin_b", 3, True, f"{TWIN}: the last epochs from a third seed", "trunk"),
    Recipe("cloned", 1, False, "pure behaviour cloning: the lower open-loop error, and it drifts"),
    Recipe("cloned_b", 4, False, "behaviour cloning from another seed"),
)


class PolicyNetwork(nn.Module):
    """Frames u8 [B, 3, 64, 128], speed m/s [B], curvature 1/m [B], desire [B, 3] -> 1/m [B, 1].

    The curvature that goes in is driven, the one that comes out is asked for; desire is one-hot.
    """

    def __init__(self) -> None:
        super().__init__()
        widths = [3, 12, 20, 28, 40]
        layers: list[Any] = []
        for a, b in pairwise(widths):
            size = 5 if a == 3 else 3
            layers += [nn.Conv2d(a, b, size, stride=2, padding=size // 2), nn.ReLU()]
        layers += [nn.Flatten(), nn.Linear(widths[-1] * 4 * 8, 56), nn.ReLU()]
        self.eyes = nn.Sequential(*layers)
        self.hands = nn.Sequential(nn.Linear(56 + 5, 48), nn.ReLU(), nn.Linear(48, 1))

    def forward(self, frames: Any, speed: Any, curvature: Any, desire: Any) -> Any:
        seen = self.eyes(frames.float() / 127.5 - 1.0)
        fast = (speed / 25.0 - 1.0)[:, None]
        bent = (curvature / CURVATURE_SCALE)[:, None]
        return self.hands(torch.cat([seen, fast, bent, desire], dim=1)) * CURVATURE_SCALE


def augmented(frames: Any, grain: Any, generator: Any) -> Any:
    """Brightness, contrast, grain and, for half, a slight blur: as re-projection does to a view."""
    n = len(frames)
    x = frames.float()

    def random() -> Any:
        return torch.rand((n, 1, 1, 1), generator=generator)

    blurred = nn.functional.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
    share = random() * (random() < 0.5)
    x = x + share * (blurred - x)
    x = (x - 110) * (0.8 + 0.4 * random()) + 110
    x = x + 24 * (random() - 0.5)
    return (x + grain[torch.randint(len(grain), (n,), generator=generator)]).clamp(0, 255)


def train(
    recipe: Recipe, samples: Samples, epochs: int, start: PolicyNetwork | None = None
) -> PolicyNetwork:
    """Huber loss on the curvature with a cosine learning rate.

    A moving average of the weights (Izmailov et al. 2018) makes seeds agree more.
    """
    torch.manual_seed(recipe.seed)
    generator = torch.Generator().manual_seed(recipe.seed)
    policy = PolicyNetwork()
    if start is not None:
        policy.load_state_dict(start.state_dict())
    rate = 2e-3 if start is None else 4e-4
    arrays = [torch.from_numpy(np.ascontiguousarray(a)) for a in (*samples.inputs, samples.target)]
    count = len(samples.target)
    batches = count // BATCH
    steps = epochs * batches
    optimizer = torch.optim.AdamW(policy.parameters(), lr=rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=rate, total_steps=steps)
    moving = torch.optim.swa_utils.get_ema_multi_avg_fn(0.995)
    average = torch.optim.swa_utils.AveragedModel(policy, multi_avg_fn=moving)
    grain = 4 * torch.randn((256, 3, VIEW.height, VIEW.width), generator=generator)
    order: Any = None
    for step in range(steps):
        at = step % batches
        if at == 0:
            order = torch.randperm(count, generator=generator)
        rows = order[at * BATCH : (at + 1) * BATCH]
        frames, speed, curvature, desire, target = (a[rows] for a in arrays)
        if recipe.displaced:
            # The driven curvature tells nothing about where the car should go: only the view does.
            curvature = curvature + 2e-3 * torch.randn(curvature.shape, generator=generator)
        answer = policy(augmented(frames, grain, generator), speed, curvature, desire)[:, 0]
        off = (answer - target) * 400
        loss = nn.functional.huber_loss(off, torch.zeros_like(target), delta=0.5)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        average.update_parameters(policy)
        if at == 0:
            epoch = step // batches + 1
            print(f"{recipe.name} epoch {epoch} of {epochs}: loss {loss.item():.5f}", flush=True)
    trained: PolicyNetwork = average.module
    trained.eval()
    return trained


def open_loop_error(policy: PolicyNetwork, samples: Samples) -> float:
    """Mean |asked - human curvature ahead| on logged poses, 1/m."""
    with torch.no_grad():
        asked = policy(*(torch.from_numpy(a) for a in samples.inputs))[:, 0].numpy()
    return float(np.abs(asked - samples.target).mean())


def export(
    policy: PolicyNetwork, recipe: Recipe, figures: dict[str, Any], folder: Path
) -> Manifest:
    """ONNX under 500 KB, with its manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = torch.zeros((2, 3, VIEW.height, VIEW.width), dtype=torch.uint8)
    example = (pictures, torch.zeros(2), torch.zeros(2), torch.zeros((2, 3)))
    buffer = io.BytesIO()
    torch.onnx.export(
        policy,
        example,
        buffer,
        input_names=list(INPUTS),
        output_names=["curvature_out"],
        opset_version=17,
        dynamo=False,
        dynamic_axes={name: {0: "batch"} for name in [*INPUTS, "curvature_out"]},
    )
    model = onnx.load_from_string(buffer.getvalue())
    onnx.checker.check_model(model, full_check=True)
    path = folder / "policy.onnx"
    path.write_bytes(model.SerializeToString(deterministic=True))
    manifest = Manifest(
        name=recipe.name,
        kind="camera",
        graphs=(Graph(sha256=file_digest(path), size_bytes=path.stat().st_size),),
        inputs=(
            Tensor(name="frames", dtype="uint8", shape=INPUTS["frames"], role="frames"),
            *(Tensor(name=n, dtype="float32", shape=INPUTS[n], role=n) for n in SCALARS),
        ),
        outputs=(Tensor(name="curvature_out", dtype="float32", shape=("batch", 1), role="action"),),
        camera=VIEW,
        action=ActionSpec(kind="curvature", output="curvature_out"),
        desire="blinker",
        training={**{n: getattr(recipe, n) for n in ("note", "seed", "displaced")}, **figures},
    )
    (folder / "manifest.json").write_bytes(canonical_json(manifest) + b"\n")
    return manifest


def main() -> None:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    add = parser.add_argument
    add("--out", type=Path, default=Path("models"))
    add("--cache", type=Path, default=Path(".redrive/training"), help="keeps the rendered samples")
    add("--routes", type=int, default=40)
    add("--per-drive", type=int, default=100)
    add("--epochs", type=int, default=12)
    add("--only", nargs="*", default=[recipe.name for recipe in RECIPES])
    options = parser.parse_args()
    logged = collect(options.routes, options.per_drive, False, options.cache)
    displaced = collect(options.routes, options.per_drive, True, options.cache)
    wanted = [recipe for recipe in RECIPES if recipe.name in options.only]
    started = any(recipe.start for recipe in wanted)
    trunk = train(TRUNK, displaced, options.epochs) if started else None
    for recipe in wanted:
        samples = displaced if recipe.displaced else logged
        epochs = max(1, options.epochs // 3) if recipe.start else options.epochs
        policy = train(recipe, samples, epochs, trunk if recipe.start else None)
        error = open_loop_error(policy, logged)
        figures = {
            "routes": options.routes,
            "samples": len(samples.target),
            "epochs": epochs,
            "open_loop_curvature_error_train": round(error, 7),
        }
        export(policy, recipe, figures, options.out / recipe.name)
        print(f"{recipe.name}: open-loop curvature error {error:.2e} 1/m", flush=True)


if __name__ == "__main__":
    main()
