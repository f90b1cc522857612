"""The camera of an openpilot log: intrinsics by device and sensor, mount by its calibration."""

from dataclasses import dataclass

import numpy as np

from suites.segment import Camera
from workers.segments.data_errors import not_importable
from workers.segments.openpilot.event_log import Channel

_AR_OX = (1928, 1208, 2648.0)
_OS = (1344, 760, 1141.5)
_BY_SENSOR = {"unknown": _AR_OX, "ar0231": _AR_OX, "ox03c10": _AR_OX, "os04c10": _OS}
ROAD_CAMERAS: dict[str, dict[str, tuple[int, int, float]]] = {
    "neo": {"unknown": (1164, 874, 910.0)},
    "tici": _BY_SENSOR,
    "tizi": _BY_SENSOR,
    "mici": {"unknown": _OS, "os04c10": _OS},
}
"""initData.deviceType to roadCameraState.sensor to (width, height, focal length), in pixels.

Of the full road camera, as in openpilot's common/transformations/camera.py. qcamera is that picture
scaled down."""
DEFAULT_HEIGHT_M = 1.22
"""openpilot's own start value, for logs whose calibration has no height."""
AHEAD_OF_REAR_AXLE = 0.55
"""Of the wheelbase: a camera behind the windscreen's mirror. No log states it."""
NOT_CONVERGED = "The calibration had not converged in this segment: views may point a little off."


@dataclass(frozen=True, slots=True)
class Mount:
    """What the log says of the device's place."""

    rpy: tuple[float, float, float]
    """ISO 8855 roll, pitch, yaw of the device on the vehicle, rad."""
    height_m: float
    notes: tuple[str, ...]


def road_camera(
    log: dict[str, Channel], wheelbase_m: float, width: int, height: int
) -> tuple[Camera, tuple[str, ...]]:
    """(camera of frames scaled to width x height, notes). Raises DataError if it is unknown."""
    start = log["initData"]
    device = str(start["device"][0])
    sensor = str(log["roadCameraState"]["sensor"][0]) if "roadCameraState" in log else "unknown"
    if sensor not in ROAD_CAMERAS.get(device, {}):
        unknown = f"device {device!r} with sensor {sensor!r}"
        raise start.wrong(0, f"no intrinsics are known for {unknown}")
    full_width, full_height, focal = ROAD_CAMERAS[device][sensor]
    mount = _mount(log)
    camera = Camera(
        width=width,
        height=height,
        fx=focal * width / full_width,
        fy=focal * height / full_height,
        cx=(width - 1) / 2,
        cy=(height - 1) / 2,
        forward_m=AHEAD_OF_REAR_AXLE * wheelbase_m,
        left_m=0.0,
        up_m=mount.height_m,
        roll_rad=mount.rpy[0],
        pitch_rad=mount.rpy[1],
        yaw_rad=mount.rpy[2],
    )
    notes = (
        f"Intrinsics by device: {device} with {sensor}, road camera {full_width}x{full_height}, "
        f"focal length {focal:g} px, scaled to {width}x{height}; lens distortion is not modelled.",
        f"The camera is taken as centred and {camera.forward_m:.2f} m ahead of the rear axle: "
        "the log does not say.",
        *mount.notes,
    )
    return camera, notes


def _mount(log: dict[str, Channel]) -> Mount:
    """From the last *calibrated* liveCalibration, else the last with an estimate."""
    channel = log["liveCalibration"]
    estimated = channel.valid & (np.abs(channel["rpy"]).sum(axis=1) > 0)
    done = np.flatnonzero(estimated & (channel["status"] == "calibrated"))
    rows = done if len(done) else np.flatnonzero(estimated)
    if not len(rows):
        problem = "no event has an estimate of the camera's angles"
        remedy = "import a later segment of the route"
        raise not_importable(channel.path, "liveCalibration", problem, remedy)
    row = int(rows[-1])
    roll, pitch, yaw = (float(angle) for angle in channel["rpy"][row])
    height = float(channel["height"][row, 0])
    notes = [] if len(done) else [NOT_CONVERGED]
    if not 0.5 < height < 3.0:
        height = DEFAULT_HEIGHT_M
        notes.append(f"The log has no camera height: {DEFAULT_HEIGHT_M} m is taken.")
    return Mount(_inverted(roll, pitch, yaw), height, tuple(notes))


def _inverted(roll: float, pitch: float, yaw: float) -> tuple[float, float, float]:
    """The device's attitude on the vehicle, forward-left-up, from openpilot's rpyCalib.

    rpyCalib is the vehicle's attitude seen from the device, in forward-right-down axes.
    R_device = R_vehicle transposed; changing the axes flips pitch and yaw.
    """
    cr, cp, cy = (np.cos(angle) for angle in (roll, pitch, yaw))
    sr, sp, sy = (np.sin(angle) for angle in (roll, pitch, yaw))
    about_x = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    about_y = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    about_z = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    flip = np.diag([1.0, -1.0, -1.0])
    r = flip @ (about_z @ about_y @ about_x).T @ flip
    return (
        float(np.arctan2(r[2, 1], r[2, 2])),
        float(-np.arcsin(r[2, 0])),
        float(np.arctan2(r[1, 0], r[0, 0])),
    )
