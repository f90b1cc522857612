"""The reproduce command names all that a drive_key holds, quoted for a shell."""

import shlex
from dataclasses import asdict, replace

from server.services.runs.reproduce import reproduce
from suites.rollout import DriveKey, ExecutionClass, Noise, Offset, Scenario, SimulatorSpec


def key(simulator: SimulatorSpec, offset: Offset, noise: Noise, repeat: int) -> DriveKey:
    scenario = Scenario(
        segment_id="r 1/0",
        segment_digest="0" * 64,
        start_s=1.0,
        end_s=9.25,
        offset=offset,
        noise=noise,
    )
    execution = ExecutionClass(runtime="onnxruntime", version="1")
    return DriveKey(
        model="0" * 64, scenario=scenario, repeat=repeat, simulator=simulator, execution=execution
    )


def test_offsets_noise_parameters_and_the_draw() -> None:
    simulator = SimulatorSpec(name="reprojection", version="1", parameters={"feedback": "log"})
    asked = key(
        simulator, Offset(lateral_m=-0.5, longitudinal_m=2.0, heading_rad=0.0), Noise(pose_m=0.1), 3
    )
    words = shlex.split(reproduce(asdict(asked), "my model"))
    assert words == [
        "redrive",
        "replay",
        "r 1/0",
        "--model",
        "my model",
        "--simulator",
        "reprojection",
        "--parameter",
        'feedback="log"',
        "--start",
        "1.0",
        "--end",
        "9.25",
        "--lateral",
        "-0.5",
        "--longitudinal",
        "2.0",
        "--noise",
        '{"pose_m": 0.1}',
        "--seed",
        "3",
    ]


def test_the_simulators_own_model_is_found_in_the_data_folder() -> None:
    simulator = SimulatorSpec(name="tinyphysics", version="1", auxiliary={"dynamics": "ab" * 32})
    command = reproduce(asdict(key(simulator, Offset(), Noise(), 0)), "pid")
    assert command.endswith(
        f' --simulator-model "${{REDRIVE_DATA:-.redrive}}/blobs/ab/{"ab" * 32}"'
    )
    assert "--lateral" not in command


def test_what_it_ran_on_is_named_unless_it_is_the_default() -> None:
    asked = key(SimulatorSpec(name="rendered", version="1"), Offset(), Noise(), 0)
    openvino = ExecutionClass(runtime="openvino", version="2026.1", precision="bfloat16")
    command = reproduce(asdict(replace(asked, execution=openvino)), "net")
    assert command == f"{reproduce(asdict(asked), 'net')} --execution openvino/bfloat16/cpu"
