"""What judging costs beside replaying: a run of 2,000 routes and 40 metrics, on one core.

    OMP_NUM_THREADS=1 python -m benchmarks.judging [--data .redrive] [--segments 6]

Replaying: the models `baseline` and `twin` over the demo's segments and the offsets of the suite `overall`, side by side in
their sandboxes as a worker drives them, in the suite's own window; CPU time of this process and its children, after one
segment that compiles and is not counted. Judging: the whole verdict with all its intervals, the median of five. The ratio
is per pair: a rollout of each model, and one where the baseline's are stored already.
"""

import argparse
import resource
import statistics
from pathlib import Path

import numpy as np

from benchmarks.statistics import N, judging_cost
from cli.model_folders import local_model
from suites.definition.suite_schema import Suite, load_suite
from suites.rollout import DriveKey, Scenario
from suites.segment import SegmentMeta
from suites.simulators import default_execution, simulator_spec
from workers.batches import drive_keys
from workers.segments.store import list_segments

SUITE = Path(__file__).parents[1] / "suites/overall.toml"
REPORT = Path(__file__).parent / "results/judging.md"
MODELS = ("baseline", "twin")
METRICS = 40


def cpu_s() -> float:
    """CPU seconds of this process and of its children that have ended."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(".redrive"),
        help="folder of an installation with the demo's segments",
    )
    parser.add_argument("--segments", type=int, default=6)
    chosen = parser.parse_args()
    suite, root = load_suite(SUITE), chosen.data / "segments"
    there = [meta for meta in list_segments(root) if not {"lane_change", "exit"} & set(meta.tags)]
    replay(root, there[:1], suite)
    rollouts, seconds = replay(root, there[1 : 1 + chosen.segments], suite)
    window = (
        statistics.mean(meta.duration_s for meta in there[1 : 1 + chosen.segments]) - suite.start_s
    )
    judging = statistics.median(
        judging_cost(np.random.default_rng([1, i]), i)["CPU s"] for i in range(5)
    )
    each = seconds / rollouts
    text = "\n".join(
        [
            f"## Judging {N:,} routes x {METRICS} metrics beside replaying them",
            "",
            "`OMP_NUM_THREADS=1 python -m benchmarks.judging`, CPU time of one core within one process.",
            "",
            f"| | CPU s | judging is of a run of {N:,} pairs |",
            "|---|---|---|",
            f"| judging, all intervals included | {judging:.2f} | |",
            f"| a rollout of {window:.1f} s on average, of {rollouts} | {each:.3f} | |",
            f"| both models of every pair driven | {2 * N * each:,.0f} | **{100 * judging / (2 * N * each):.2f} %** |",
            f"| the candidate alone, the baseline stored | {N * each:,.0f} | {100 * judging / (N * each):.2f} % |",
            f"| the same with segments of 60 s, scaled by the time driven | {2 * N * each * 60 / window:,.0f} "
            f"| {100 * judging / (2 * N * each * 60 / window):.2f} % |",
            "",
        ]
    )
    REPORT.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
