"""What judging costs beside replaying: a run of 2,000 routes and 40 metrics, on one core.

    OMP_NUM_THREADS=1 python -m benchmarks.judging [--data .redrive] [--segments 6] [--write]

Replaying: the models `baseline` and `twin` over the demo's segments and the offsets of the suite
`overall`, in the suite's own window, side by side in their sandboxes as a worker drives them. CPU
time of this process and its children; a first segment compiles and is not counted. Judging: the
whole verdict with all its intervals, the median of five. The ratio is per pair: a rollout of each
model, or one where the baseline's are stored already.
"""

import resource
import statistics
from pathlib import Path

import numpy as np

from benchmarks.result_pages import can_write, command_line, publish
from benchmarks.simulated_pairs import N
from benchmarks.verdict_scenarios import judging_cost
from cli.model_folders import local_model
from suites.definition.suite_schema import Suite
from suites.definition.suite_toml import load_suite
from suites.execution_classes import default_execution
from suites.rollout import DriveKey, Scenario
from suites.segment import SegmentMeta
from suites.simulators import simulator_spec
from workers.batches import drive_keys
from workers.segments.store import list_segments

SUITE = Path(__file__).parents[1] / "suites/overall.toml"
MODELS = ("baseline", "twin")
METRICS = 40


def cpu_s() -> float:
    """CPU seconds of this process and of its children that have ended."""
    own, children = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def replay(root: Path, metas: list[SegmentMeta], suite: Suite) -> tuple[int, float]:
    """(rollouts, CPU seconds)."""
    models = {manifest.digest: (manifest, graphs) for manifest, graphs in map(local_model, MODELS)}
    keys = [
        DriveKey(
            model=model,
            simulator=simulator_spec("reprojection", {}),
            execution=default_execution(manifest),
            scenario=Scenario(
                segment_id=meta.segment_id,
                segment_digest=meta.digest,
                start_s=suite.start_s,
                end_s=meta.duration_s,
                offset=offset,
            ),
        )
        for model, (manifest, _) in models.items()
        for meta in metas
        for offset in suite.offsets
    ]
    start = cpu_s()
    driven = list(drive_keys(keys, segments_root=root, find_model=models.__getitem__, auxiliary={}))
    return len(driven), cpu_s() - start


def report(judging: float, rollouts: int, each: float, window: float) -> str:
    """Seconds of CPU: of the verdict, and of each of `rollouts` rollouts of `window` seconds."""
    both = 2 * N * each
    candidate = N * each
    minute = 2 * N * each * 60 / window
    lines = [
        f"## Judging {N:,} routes x {METRICS} metrics beside replaying them",
        "",
        "`OMP_NUM_THREADS=1 python -m benchmarks.judging`, "
        "CPU time of one core within one process.",
        "",
        f"| | CPU s | judging is of a run of {N:,} pairs |",
        "|---|---|---|",
        f"| judging, all intervals included | {judging:.2f} | |",
        f"| a rollout of {window:.1f} s on average, of {rollouts} | {each:.3f} | |",
        f"| both models of every pair driven | {both:,.0f} | **{100 * judging / both:.2f} %** |",
        f"| the candidate alone, the baseline stored | {candidate:,.0f} "
        f"| {100 * judging / candidate:.2f} % |",
        f"| the same with segments of 60 s, scaled by the time driven | {minute:,.0f} "
        f"| {100 * judging / minute:.2f} % |",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = command_line(__doc__)
    installation = "folder of an installation with the demo's segments"
    parser.add_argument("--data", type=Path, default=Path(".redrive"), help=installation)
    parser.add_argument("--segments", type=int, default=6)
    can_write(parser)
    chosen = parser.parse_args()
    suite = load_suite(SUITE)
    root = chosen.data / "segments"
    there = [meta for meta in list_segments(root) if not {"lane_change", "exit"} & set(meta.tags)]
    replay(root, there[:1], suite)
    counted = there[1 : 1 + chosen.segments]
    rollouts, seconds = replay(root, counted, suite)
    window = statistics.mean(meta.duration_s for meta in counted) - suite.start_s
    judging = statistics.median(
        judging_cost(np.random.default_rng([1, i]), i)["CPU s"] for i in range(5)
    )
    text = report(judging, rollouts, seconds / rollouts, window)
    publish(text, "judging.md", chosen.write)


if __name__ == "__main__":
    main()
