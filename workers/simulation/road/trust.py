"""How far a driving simulator may be trusted."""

from dataclasses import dataclass

from suites.parameters import Parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """The region around the logged path in which it is known what a camera would see."""

    lateral_m: float
    longitudinal_m: float
    """From where the log was at that time: beyond, what moves is in the wrong place."""
    heading_rad: float


EVERYWHERE = Trust(lateral_m=float("inf"), longitudinal_m=float("inf"), heading_rad=float("inf"))

TRUST: dict[str, Trust] = {
    "exact": Trust(lateral_m=2.25, longitudinal_m=15.0, heading_rad=0.20),
    "lidar": Trust(lateral_m=2.25, longitudinal_m=15.0, heading_rad=0.20),
    "stereo": Trust(lateral_m=2.0, longitudinal_m=15.0, heading_rad=0.20),
    "model": Trust(lateral_m=2.0, longitudinal_m=15.0, heading_rad=0.20),
    "plane": Trust(lateral_m=1.5, longitudinal_m=15.0, heading_rad=0.20),
    "rendered": EVERYWHERE,
}
"""By what views rest on: a segment's source of depth, or a renderer that knows the whole world.

Measured by `redrive simulator report`: benchmarks/results/simulator.md has the figures."""


def trust_of(base: Trust, parameters: Parameters) -> Trust:
    """The trust region with the overrides."""
    return Trust(
        lateral_m=parameters.trust_lateral_m or base.lateral_m,
        longitudinal_m=parameters.trust_longitudinal_m or base.longitudinal_m,
        heading_rad=parameters.trust_heading_rad or base.heading_rad,
    )
