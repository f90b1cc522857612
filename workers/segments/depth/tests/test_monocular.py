"""Depth models: tiny ONNX graphs whose answer is known, scaled by the ground."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from suites.errors import DataError
from suites.segment import Camera
from workers.segments.depth.monocular import MEAN, STD, Output, open_depth_model
from workers.segments.depth.plane import ground_depth
from workers.segments.openpilot.importer import import_openpilot
from workers.segments.openpilot.tests.openpilot_route import make_route
from workers.segments.store import read_segment

CAMERA = Camera(
    width=64,
    height=40,
    fx=60,
    fy=60,
    cx=31.5,
    cy=19.5,
    forward_m=1.4,
    left_m=0,
    up_m=1.3,
    pitch_rad=0.05,
)
INVERSE = 1.0 / ground_depth(CAMERA, 64, 40)
FAR_CAR = np.s_[16:24, 26:38]


def model(
    path: Path,
    nodes: list[onnx.NodeProto],
    size: tuple[int, int] | None = (40, 64),
    **constants: np.ndarray,
) -> Path:
    """A graph from `x` [1, 3, h, w] to `y`."""
    dims = list(size) if size else ["h", "w"]
    graph = helper.make_graph(
        nodes,
        "depth",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, *dims])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path
    )
    return path


def red(path: Path, gain: float, shift: float) -> Path:
    """Answers gain * red + shift, red in 0..1."""
    return model(
        path,
        [
            helper.make_node("Mul", ["x", "std"], ["scaled"]),
            helper.make_node("Add", ["scaled", "mean"], ["plain"]),
            helper.make_node("Gather", ["plain", "zero"], ["red"], axis=1),
            helper.make_node("Mul", ["red", "gain"], ["grown"]),
            helper.make_node("Add", ["grown", "shift"], ["y"]),
        ],
        std=STD[None, :, None, None],
        mean=MEAN[None, :, None, None],
        zero=np.array(0, np.int64),
        gain=np.array(gain, np.float32),
        shift=np.array(shift, np.float32),
    )


def picture(values: np.ndarray) -> np.ndarray:
    return np.repeat(np.round(255 * values)[:, :, None], 3, axis=2).astype(np.uint8)


def test_inverse_depth_is_scaled_and_shifted_onto_the_ground(tmp_path: Path) -> None:
    shown = INVERSE * 3.0
    shown[FAR_CAR] = 0.36
    found = open_depth_model(red(tmp_path / "m.onnx", 7.0, 2.0), "inverse").depth(
        picture(shown), CAMERA, 64, 40
    )
    expected = ground_depth(CAMERA, 64, 40)
    np.testing.assert_allclose(found[-8:], expected[-8:], rtol=0.02)
    assert found[20, 32] == pytest.approx(3.0 / 0.36, rel=0.05)
    assert (found[:8] > 100).all()


def test_metric_depth_is_scaled_onto_the_ground(tmp_path: Path) -> None:
    shown = np.minimum(ground_depth(CAMERA, 64, 40) / 40.0, 1.0)
    found = open_depth_model(red(tmp_path / "m.onnx", 13.0, 0.0), "metric").depth(
        picture(shown), CAMERA, 32, 20
    )
    assert found.shape == (20, 32)
    np.testing.assert_allclose(found[-4:], ground_depth(CAMERA, 32, 20)[-4:], rtol=0.05)


@pytest.mark.parametrize(
    ("gain", "output", "says"),
    [
        (-1.0, "inverse", "does not grow towards the camera"),
        (float("nan"), "inverse", "not finite"),
    ],
)
def test_an_answer_that_fits_no_ground_is_refused(
    gain: float, output: Output, says: str, tmp_path: Path
) -> None:
    opened = open_depth_model(red(tmp_path / "m.onnx", gain, 0.0), output)
    with pytest.raises(DataError, match=says):
        opened.depth(picture(INVERSE * 3.0), CAMERA, 64, 40)


def test_a_camera_without_ground_is_refused(tmp_path: Path) -> None:
    up = replace(CAMERA, pitch_rad=-1.0)
    with pytest.raises(DataError, match="sees no free ground"):
        open_depth_model(red(tmp_path / "m.onnx", 1.0, 0.0), "inverse").depth(
            picture(INVERSE), up, 64, 40
        )


def test_graphs_of_another_kind_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no graph")
    with pytest.raises(DataError, match="cannot be loaded"):
        open_depth_model(tmp_path / "text.onnx", "inverse")
    flat = model(tmp_path / "flat.onnx", [helper.make_node("Identity", ["x"], ["y"])])
    with pytest.raises(DataError, match="an output"):
        open_depth_model(flat, "inverse").depth(picture(INVERSE), CAMERA, 64, 40)
    graph = onnx.load(flat)
    graph.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 4
    onnx.save(graph, tmp_path / "four.onnx")
    with pytest.raises(DataError, match="one float32 input"):
        open_depth_model(tmp_path / "four.onnx", "inverse")


def test_an_import_records_the_model_that_made_the_depth(tmp_path: Path) -> None:
    """A free input size, and an answer by the row alone: 1 / its height over the horizon."""
    node = [
        helper.make_node("Gather", ["x", "zero"], ["red"], axis=1),
        helper.make_node("Mul", ["red", "nothing"], ["blank"]),
        helper.make_node("CumSum", ["ones_like", "axis"], ["y"]),
        helper.make_node("Add", ["blank", "one"], ["ones_like"]),
    ]
    node = [node[0], node[1], node[3], node[2]]
    path = model(
        tmp_path / "rows.onnx",
        node,
        None,
        zero=np.array(0, np.int64),
        nothing=np.array(0, np.float32),
        one=np.array(1, np.float32),
        axis=np.array(1, np.int64),
    )
    folder = make_route(20).write(tmp_path / "in")
    meta = import_openpilot(
        folder, tmp_path / "root", width=64, depth_model=open_depth_model(path, "inverse")
    )
    assert meta.depth_source == "model"
    assert meta.origin["depth_model"]["file"] == "rows.onnx"
    assert len(meta.origin["depth_model"]["sha256"]) == 64
    depth = read_segment(tmp_path / "root", meta.segment_id).depth(0, 1)[0]
    assert meta.camera is not None
    expected = ground_depth(meta.camera, 32, 20)
    np.testing.assert_allclose(depth[-4:, 16], expected[-4:, 16], rtol=0.06)
