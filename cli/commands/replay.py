"""`redrive replay`: re-simulation without the service, on the same code as its workers."""

import json
import math
import re
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter, ValidationError

from cli.model_folders import local_model
from cli.options import HERE, Data, argument, option
from cli.printing import Cell, Columns, print_items, print_json
from suites.definition.suite_schema import SHORTEST_S, offset_name
from suites.errors import Finding, SubmitterError
from suites.execution_classes import EXECUTION_FORM, RUNTIMES, execution_here, execution_of
from suites.identity import file_digest
from suites.manifest import validation_findings
from suites.rollout import DriveKey, Noise, Offset, Rollout, Scenario, SimulatorSpec
from suites.segment import SegmentMeta
from suites.segment_lookup import find_segment
from suites.simulators import SIMULATORS, simulator_spec

app = typer.Typer(context_settings={"allow_interspersed_args": True})

SHOWN = (
    "lateral_error_mean_m",
    "lateral_error_max_m",
    "lane_centre_error_mean_m",
    "lateral_jerk_ms",
    "weaving_m",
    "open_loop_curvature_error",
    "lataccel_cost",
    "jerk_cost",
    "total_cost",
)
"""The metrics of the table, where none is asked for and those that have a value."""


@app.callback(invoke_without_command=True)
def replay(
    segments: Annotated[
        list[str] | None,
        argument("Stored segments, in any form, or paths of a CSV of the controls dataset."),
    ] = None,
    model: Annotated[
        str,
        option("A shipped model's name, `log`, or a folder with manifest.json.", "REDRIVE_MODEL"),
    ] = "log",
    simulator: Annotated[
        str, option(f"One of {', '.join(SIMULATORS)}.", "REDRIVE_SIMULATOR")
    ] = "reprojection",
    simulator_model: Annotated[
        Path | None, option("The dynamics model that tinyphysics needs.", "REDRIVE_SIMULATOR_MODEL")
    ] = None,
    parameter: Annotated[
        list[str] | None, option("A simulator parameter, name=value (JSON), e.g. feedback=log.")
    ] = None,
    tag: Annotated[list[str] | None, option("Drive every stored segment with this tag.")] = None,
    start: Annotated[float, option("Start of the judged window, s.")] = 1.0,
    end: Annotated[
        float | None, option("End of the judged window, s; the segment's end if not given.")
    ] = None,
    lateral: Annotated[
        list[float] | None,
        option("Offset to the left at the start, m; several drive several rollouts."),
    ] = None,
    longitudinal: Annotated[float, option("Offset ahead at the start, m.")] = 0.0,
    heading: Annotated[
        float, option("Offset of the heading to the left at the start, degrees.")
    ] = 0.0,
    noise: Annotated[str, option("Declared noise as JSON, e.g. '{\"pose_m\": 0.05}'.")] = "{}",
    seed: Annotated[
        int, option("Which repeat: the number of the draw of the declared noise.", min=0)
    ] = 0,
    seed_string: Annotated[
        str | None,
        option("tinyphysics: hash this path as the public script does; {segment} is the name."),
    ] = None,
    execution: Annotated[
        str | None,
        option(f"{EXECUTION_FORM}; runtime: {', '.join(RUNTIMES)}.", "REDRIVE_EXECUTION"),
    ] = None,
    metric: Annotated[list[str] | None, option("Show these metrics only.")] = None,
    trace: Annotated[
        Path | None, option("Write each rollout's trace here, one .npz a rollout.")
    ] = None,
    video: Annotated[
        Path | None,
        option("Write a video of logged beside simulated frames here, one .mp4 a rollout."),
    ] = None,
    data: Data = HERE,
    sandbox: Annotated[
        bool, option("Run the model in a locked-down child, as the service does.")
    ] = True,
    as_json: Annotated[
        bool, option("Every metric as JSON on standard output, nothing else.", name="--json")
    ] = False,
) -> None:
    """Re-simulate segments here, in closed loop and without the service, and print the metrics.

    This is the command that a run names as `reproduce`.
    """
    manifest, graphs = local_model(model)
    with tempfile.TemporaryDirectory() as scratch:
        csv = [Path(name) for name in segments or () if name.endswith(".csv")]
        root = Path(scratch) if csv else data / "segments"
        metas = _imported(csv, root) if csv else _stored(root, segments or [], tag or [])
        drawn = _noise(noise)
        offsets = [
            Offset(lateral_m=left, longitudinal_m=longitudinal, heading_rad=math.radians(heading))
            for left in lateral or [0.0]
        ]
        scenarios = [
            _scenario(meta, start, end, offset, drawn) for meta in metas for offset in offsets
        ]
        auxiliary = {} if simulator_model is None else {"dynamics": simulator_model}
        spec = _spec(simulator, _parameters(parameter or [], seed_string), auxiliary)
        ran_on = execution_of(manifest, None if execution is None else execution_here(execution))
        keys = [
            DriveKey(
                model=manifest.digest, scenario=s, repeat=seed, simulator=spec, execution=ran_on
            )
            for s in scenarios
        ]
        from workers.batches import drive_keys  # simulators, only for keys that can be driven

        driven = drive_keys(
            keys,
            segments_root=root,
            find_model=lambda _: (manifest, graphs),
            auxiliary=auxiliary,
            sandboxed=sandbox,
        )
        rollouts: dict[str, Rollout] = {}
        for number, rollout in enumerate(driven, 1):
            rollouts[rollout.key.digest] = rollout
            last = "" if sys.stderr.isatty() else "\n"
            print(f"\r{number} of {len(keys)} driven", end=last, file=sys.stderr)
            if trace is not None and rollout.trace is not None:
                _file(trace, rollout, "npz").write_bytes(rollout.trace.to_bytes())
            if video is not None and rollout.trace is not None:
                from workers.pictures import write_comparison

                write_comparison(_file(video, rollout, "mp4"), rollout, root, manifest.camera)
        _show(manifest.name, [rollouts[key.digest] for key in keys], metric, as_json)


def _imported(csv: list[Path], root: Path) -> list[SegmentMeta]:
    from workers.segments.controls_csv import import_controls_csv

    return import_controls_csv(csv, root)


def _stored(root: Path, names: list[str], tags: list[str]) -> list[SegmentMeta]:
    from workers.segments.store import list_segments

    stored = list_segments(root)
    chosen = [find_segment(name, stored) for name in names]
    chosen += [meta for meta in stored if set(tags) & set(meta.tags)]
    if not chosen:
        expected = "expected segment ids, --tag, or a .csv file"
        finding = Finding("SEGMENT", expected, "`redrive segments list` shows what is stored")
        raise SubmitterError("no segment is named", finding)
    return chosen


def _scenario(
    meta: SegmentMeta, start_s: float, end_s: float | None, offset: Offset, noise: Noise
) -> Scenario:
    end_s = min(end_s or meta.duration_s, meta.duration_s)
    if end_s - start_s < SHORTEST_S:
        problem = f"{start_s:g} s leaves no window before {end_s:g} s of {meta.segment_id}"
        finding = Finding("--start, --end", problem, "start earlier, or end later")
        raise SubmitterError("nothing would be driven", finding)
    return Scenario(
        segment_id=meta.segment_id,
        segment_digest=meta.digest,
        start_s=start_s,
        end_s=end_s,
        offset=offset,
        noise=noise,
    )


def _noise(text: str) -> Noise:
    try:
        return TypeAdapter(Noise).validate_python(asdict(Noise(**json.loads(text))))
    except (TypeError, json.JSONDecodeError) as error:
        findings: tuple[Finding, ...] = (Finding("--noise", str(error)),)
    except ValidationError as error:
        findings = validation_findings(error)
    raise SubmitterError(f"--noise {text!r} is not valid", findings)


def _parameters(given: Iterable[str], seed_string: str | None) -> dict[str, Any]:
    parameters: dict[str, Any] = {} if seed_string is None else {"seed_string": seed_string}
    for item in given:
        name, separator, value = item.partition("=")
        if not separator:
            raise SubmitterError(f"--parameter {item!r} is not name=value")
        try:
            parameters[name] = json.loads(value)
        except json.JSONDecodeError:
            parameters[name] = value
    return parameters


def _spec(name: str, parameters: dict[str, Any], auxiliary: dict[str, Path]) -> SimulatorSpec:
    for role, path in auxiliary.items():
        if not path.is_file():
            finding = Finding("--simulator-model", "no such file")
            raise SubmitterError(f"{path} does not exist", finding)
        parameters[role] = file_digest(path)
    return simulator_spec(name, parameters)


def _file(folder: Path, rollout: Rollout, suffix: str) -> Path:
    """A name of its own for each rollout: the drive_key holds all that two may differ in."""
    folder.mkdir(parents=True, exist_ok=True)
    scenario = rollout.key.scenario
    segment = re.sub(r"[^\w.-]", "_", scenario.segment_id)
    offset = offset_name(scenario.offset)
    return folder / f"{segment}@{offset}_{rollout.key.digest[:12]}.{suffix}"


def _answer(rollout: Rollout, wanted: list[str] | None) -> dict[str, Any]:
    from suites.metrics import measure

    results = measure(rollout.trace, rollout.outcome, wanted)
    return {
        "segment": rollout.key.scenario.segment_id,
        "offset": offset_name(rollout.key.scenario.offset),
        "outcome": rollout.outcome,
        "reason": rollout.reason,
        "ended_s": round(rollout.ended_s, 3),
        "trusted_share": round(rollout.trusted_share, 4),
        "drive_key": rollout.key.digest,
        **{name: result.value if result.valid else None for name, result in results.items()},
    }


def _show(model: str, rollouts: list[Rollout], wanted: list[str] | None, as_json: bool) -> None:
    answers = [_answer(rollout, wanted) for rollout in rollouts]
    if as_json:
        print_json({"model": model, "rollouts": answers})
        return
    metrics = [m for m in wanted or SHOWN if any(a.get(m) is not None for a in answers)]
    columns: Columns = {
        "segment": "segment",
        "offset": "offset",
        "outcome": lambda answer: f"{answer['outcome']} {answer['reason']}".strip(),
    }
    columns |= {name: _figure(name) for name in metrics}
    print(f"{model}, re-simulated in closed loop:")
    print_items(answers, columns, "")


def _figure(metric: str) -> Cell:
    def shown(answer: dict[str, Any]) -> str:
        value = answer.get(metric)
        return "" if value is None else f"{value:.6g}"

    return shown
