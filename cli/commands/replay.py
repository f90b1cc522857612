"""`redrive replay`: the same rollout on the same code as the service's workers, without the service."""

import json
import math
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter, ValidationError

from cli.model_folders import local_model
from suites.definition.suite_schema import SHORTEST_S
from suites.errors import Finding, SubmitterError
from suites.identity import file_digest
from suites.manifest import validation_findings
from suites.rollout import DriveKey, Noise, Offset, Rollout, Scenario, SimulatorSpec
from suites.simulators import EXECUTION_FORM, RUNTIMES, SIMULATORS, execution_here, execution_of

app = typer.Typer(
    context_settings={"allow_interspersed_args": True}
)  # options may follow the segments
PATH = "a CSV of the controls dataset"
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


@app.callback(invoke_without_command=True)
def replay(
    segments: Annotated[
        list[str] | None,
        typer.Argument(help=f"Stored segments, in any form that people paste, or paths of {PATH}."),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            envvar="REDRIVE_MODEL",
            help="A shipped model's name, `log`, or a folder with manifest.json.",
        ),
    ] = "log",
    simulator: Annotated[
        str, typer.Option(envvar="REDRIVE_SIMULATOR", help=f"One of {', '.join(SIMULATORS)}.")
    ] = "reprojection",
    simulator_model: Annotated[
        Path | None,
        typer.Option(
            envvar="REDRIVE_SIMULATOR_MODEL", help="The dynamics model that tinyphysics needs."
        ),
    ] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option(help="A simulator parameter, name=value (JSON), e.g. feedback=log."),
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(help="Drive every stored segment with this tag.")
    ] = None,
    start: Annotated[float, typer.Option(help="Start of the judged window, s.")] = 1.0,
    end: Annotated[
        float | None,
        typer.Option(help="End of the judged window, s; the segment's end if not given."),
    ] = None,
    lateral: Annotated[
        list[float] | None,
        typer.Option(help="Offset to the left at the start, m; several drive several rollouts."),
    ] = None,
    longitudinal: Annotated[float, typer.Option(help="Offset ahead at the start, m.")] = 0.0,
    heading: Annotated[
        float, typer.Option(help="Offset of the heading to the left at the start, degrees.")
    ] = 0.0,
    noise: Annotated[
        str, typer.Option(help="Declared noise as JSON, e.g. '{\"pose_m\": 0.05}'.")
    ] = "{}",
    seed: Annotated[
        int, typer.Option(help="Which repeat: the number of the draw of the declared noise.", min=0)
    ] = 0,
    seed_string: Annotated[
        str | None,
        typer.Option(
            help="tinyphysics: hash this path as the public script does; {segment} is the name."
        ),
    ] = None,
    execution: Annotated[
        str | None,
        typer.Option(
            envvar="REDRIVE_EXECUTION", help=f"{EXECUTION_FORM}; runtime: {', '.join(RUNTIMES)}."
        ),
    ] = None,
    metric: Annotated[list[str] | None, typer.Option(help="Show these metrics only.")] = None,
    trace: Annotated[
        Path | None, typer.Option(help="Write each rollout's trace here, one .npz a rollout.")
    ] = None,
    video: Annotated[
        Path | None,
        typer.Option(
            help="Write a video of logged beside simulated frames here, one .mp4 a rollout."
        ),
    ] = None,
    data: Annotated[
        Path, typer.Option(envvar="REDRIVE_DATA", help="Folder of the installation.")
    ] = Path(".redrive"),
    sandbox: Annotated[
        bool, typer.Option(help="Run the model in a locked-down child, as the service does.")
    ] = True,
    as_json: Annotated[
        bool, typer.Option("--json", help="Every metric as JSON on standard output, nothing else.")
    ] = False,
) -> None:
    """Drive segments here and print the metrics. This is the command that a run names as `reproduce`."""
    manifest, graphs = local_model(model)
    with tempfile.TemporaryDirectory() as scratch:
        csv = [Path(s) for s in segments or () if s.endswith(".csv")]
        root = Path(scratch) if csv else data / "segments"
        drawn = _noise(noise)
        scenarios = [
            Scenario(
                segment_id=meta.segment_id,
                segment_digest=identity,
                start_s=start,
                end_s=min(end or meta.duration_s, meta.duration_s),
                offset=Offset(
                    lateral_m=offset, longitudinal_m=longitudinal, heading_rad=math.radians(heading)
                ),
                noise=drawn,
            )
            for meta, identity in _metas(root, csv, segments or [], tag or [])
            for offset in lateral or [0.0]
        ]
        for scenario in scenarios:
            if scenario.end_s - scenario.start_s < SHORTEST_S:
                found = f"{start:g} s leaves no window before {scenario.end_s:g} s of {scenario.segment_id}"
                raise SubmitterError(
                    "nothing would be driven",
                    (Finding("--start, --end", found, "start earlier, or end later"),),
                )
        auxiliary = {} if simulator_model is None else {"dynamics": simulator_model}
        spec = _spec(simulator, _parameters(parameter or [], seed_string), auxiliary)
        ran_on = execution_of(manifest, None if execution is None else execution_here(execution))
        keys = [
            DriveKey(
                model=manifest.digest, scenario=s, repeat=seed, simulator=spec, execution=ran_on
            )
            for s in scenarios
        ]
        from workers.batches import drive_keys

        rollouts = []
        for rollout in drive_keys(
            keys,
            segments_root=root,
            find_model=lambda _: (manifest, graphs),
            auxiliary=auxiliary,
            sandboxed=sandbox,
        ):
            rollouts.append(rollout)
            print(
                f"\r{len(rollouts)} of {len(keys)} driven",
                end="" if sys.stderr.isatty() else "\n",
                file=sys.stderr,
            )
            if trace is not None and rollout.trace is not None:
                _file(trace, rollout, "npz").write_bytes(rollout.trace.to_bytes())
            if video is not None and rollout.trace is not None:
                from workers.pictures import write_comparison

                write_comparison(_file(video, rollout, "mp4"), rollout, root, manifest.camera)
        order = {key.digest: i for i, key in enumerate(keys)}
        _show(manifest.name, sorted(rollouts, key=lambda r: order[r.key.digest]), metric, as_json)


def _metas(root: Path, csv: list[Path], names: list[str], tags: list[str]) -> list[tuple[Any, str]]:
    from suites.segment_lookup import find_segment
    from workers.segments.controls_csv import import_controls_csv
    from workers.segments.store import list_segments

    if csv:
        return [(meta, meta.digest) for meta in import_controls_csv(csv, root)]
    stored = list_segments(root)
    chosen = [find_segment(name, stored) for name in names]
    chosen += [meta for meta in stored if set(tags) & set(meta.tags)]
    if not chosen:
        raise SubmitterError(
            "no segment is named",
            (
                Finding(
                    "SEGMENT",
                    "expected segment ids, --tag, or a .csv file",
                    "`redrive segments list` shows what is stored",
                ),
            ),
        )
    return [(meta, meta.digest) for meta in chosen]


def _noise(text: str) -> Noise:
    try:
        return TypeAdapter(Noise).validate_python(asdict(Noise(**json.loads(text))))
    except (TypeError, json.JSONDecodeError) as error:
        raise SubmitterError(
            f"--noise {text!r} is not valid", (Finding("--noise", str(error)),)
        ) from None
    except ValidationError as error:
        raise SubmitterError(f"--noise {text!r} is not valid", validation_findings(error)) from None


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
    from suites.simulators import simulator_spec

    for role, path in auxiliary.items():
        if not path.is_file():
            raise SubmitterError(
                f"{path} does not exist", (Finding("--simulator-model", "no such file"),)
            )
        parameters[role] = file_digest(path)
    return simulator_spec(name, parameters)


def _file(folder: Path, rollout: Rollout, suffix: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    scenario = rollout.key.scenario
    return (
        folder
        / f"{scenario.segment_id.replace('/', '_')}@{scenario.offset.lateral_m:+.2f}m.{suffix}"
    )


def _show(name: str, rollouts: list[Rollout], wanted: list[str] | None, as_json: bool) -> None:
    from suites.definition.suite_schema import offset_name
    from suites.metrics import measure

    answers = []
    for rollout in rollouts:
        results = measure(rollout.trace, rollout.outcome, wanted)
        answers.append(
            {
                "segment": rollout.key.scenario.segment_id,
                "offset": offset_name(rollout.key.scenario.offset),
                "outcome": rollout.outcome,
                "reason": rollout.reason,
                "ended_s": round(rollout.ended_s, 3),
                "trusted_share": round(rollout.trusted_share, 4),
                "drive_key": rollout.key.digest,
                **{n: r.value if r.valid else None for n, r in results.items()},
            }
        )
    if as_json:
        print(json.dumps({"model": name, "rollouts": answers}, indent=1))
        return
    from rich.console import Console
    from rich.table import Table

    columns = [c for c in wanted or SHOWN if any(a.get(c) is not None for a in answers)]
    table = Table("segment", "offset", "outcome", *columns, title=f"{name}, closed loop")
    for answer in answers:
        numbers = (answer.get(c) for c in columns)
        table.add_row(
            str(answer["segment"]),
            str(answer["offset"]),
            f"{answer['outcome']} {answer['reason']}".strip(),
            *("" if n is None else f"{n:.6g}" for n in numbers),
        )
    Console(width=None if sys.stdout.isatty() else 160).print(table)
