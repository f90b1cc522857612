"""Suites: what is driven and how it is judged, as frozen data addressed by digest."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, StringConstraints, TypeAdapter

from suites.definition.enrichment import Enrichment
from suites.definition.selector import Selector
from suites.identity import digest
from suites.manifest import STRICT
from suites.rollout import Noise, Offset, Scenario
from suites.simulators import SimulatorName
from suites.vocabulary import Estimand

SHORTEST_S = 0.2
"""Shortest window of a case: two steps of the slowest simulator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """The rule of one metric: the candidate is not worse than the baseline, within a margin."""

    __pydantic_config__ = STRICT

    metric: str
    estimand: Estimand = Estimand.TYPICAL
    margin: Annotated[float, Field(gt=0, le=10)] = 0.02
    """Largest relative worsening that is accepted (0.02 is 2 %); of a rate, the largest
    difference (0.005 is 5 more in 1,000 pairs)."""
    direction: Literal["lower", "higher"] | None = None
    """Which way is better; the registry's when not given."""
    critical: bool = True
    """False: advisory, shown but never decides the run."""
    fail_fast: bool = False
    """Fail at once when worse is certain though its size is open (0 < L <= margin < U)."""
    winsor_cap: Annotated[float, Field(gt=0)] | None = None
    """For the raw mean: costs above it count as the cap. Rare spikes make it necessary."""
    relative_cap: Annotated[float, Field(gt=1, le=1000)] | None = None
    """Instead, with stored costs: a segment's costs count up to so many times its expected cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseSpec:
    """One named test of a specific suite: every repeat must meet the conditions."""

    __pydantic_config__ = STRICT

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=120)]
    segment: str
    start_s: Annotated[float, Field(ge=0)] = 0.0
    end_s: Annotated[float, Field(gt=0)] | None = None
    offset: Offset = field(default_factory=Offset)
    noise: Noise = field(default_factory=Noise)
    repeats: Annotated[int, Field(ge=1, le=100)] = 1
    must_pass_repeats: Annotated[int, Field(ge=1)] | None = None
    """Of `repeats`; all when not given. The case's own rule against flakiness."""
    conditions: tuple[dict[str, Any], ...] = ()
    note: str = ""
    """Why it exists: required when a case is registered from a failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """A part of what is selected, of which a pass must have seen enough."""

    __pydantic_config__ = STRICT

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_]*$", max_length=60)]
    tags: Annotated[tuple[str, ...], Field(min_length=1)]
    """Segments that carry all of them."""
    minimum: Annotated[int, Field(ge=1)] = 20
    """Pairs before a pass; all that there are, where there are fewer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorChoice:
    __pydantic_config__ = STRICT

    name: SimulatorName = "reprojection"
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """A suite as written in TOML."""

    __pydantic_config__ = STRICT

    format: Literal["redrive.suite/1"] = "redrive.suite/1"
    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_]*$", max_length=60)]
    kind: Literal["overall", "specific"]
    description: str = ""
    means_to_pass: str = ""
    """What a pass says, in one sentence for the reader of a verdict."""
    simulator: SimulatorChoice = field(default_factory=SimulatorChoice)
    select: Selector | None = None
    start_s: Annotated[float, Field(ge=0)] = 1.0
    """Judged window of every selected segment: from here (warm-up lies before) ..."""
    end_s: Annotated[float, Field(gt=0)] | None = None
    """... to here; the segment's end when not given."""
    offsets: tuple[Offset, ...] = (Offset(),)
    offset_weights: tuple[Annotated[float, Field(ge=0, le=1)], ...] = ()
    """Probability of each offset in natural driving, in their order.
    Without it, incidents of drives that began beside the log have no rate per 1,000 h.
    Gates weigh all pairs alike."""
    enriched: Enrichment | None = None
    """Thins the grid of segments and offsets in favour of the hard: for rates of rare incidents."""
    noise: Noise = field(default_factory=Noise)
    repeats: Annotated[int, Field(ge=1, le=100)] = 1
    cases: tuple[CaseSpec, ...] = ()
    gates: tuple[Gate, ...] = ()
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    spending_rho: Annotated[float, Field(gt=0, le=4)] = 1.0
    """Alpha spending: cumulative spend is alpha * t**rho at the share t of planned pairs."""
    flips: Annotated[int, Field(ge=99, le=99_999)] = 999
    """Sign vectors drawn once from the registered seed."""
    look_every: Annotated[int, Field(ge=1)] = 20
    """Pairs between two looks at the evidence; the last look is at the end."""
    order_seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    """Of the order and of the signs; without it each run has its own, which nobody can foresee."""
    draw: Literal["uniform", "cost"] = "uniform"
    """`cost`: what the baseline finds hard is drawn earlier, and weighted back."""
    draw_metric: str | None = None
    """Whose stored costs weigh the draw; the first gate's when not given."""
    draw_share: Annotated[float, Field(gt=0, lt=1)] = 0.3
    """a in the weight a b / mean(b) + 1 - a: 0.3 beside gates of the typical drive, 0.8 alone."""
    draw_else_uniform: bool = False
    """Where the baseline has no stored costs: draw uniformly instead of refusing."""
    new_spikes: Annotated[float, Field(gt=0, lt=1)] = 0.0075
    """Largest share of pairs where the candidate newly spikes that a pass leaves possible."""
    slices: tuple[Slice, ...] = ()
    max_failed_share: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of rollouts that may fail; None: not more than the baseline's, by the exact test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRollout:
    """One place in a suite version's fixed order."""

    case_id: str
    """`segment@+0.50m+0.0m+0.0deg#repeat` of a selected segment, `name#repeat` of a case."""
    route: str
    scenario: Scenario
    repeat: int
    case: str | None = None
    """Name of the must-pass case, None in an overall suite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteVersion:
    """A suite resolved against stored segments: immutable, addressed by its digest."""

    suite: Suite
    metric_versions: dict[str, int]
    planned: tuple[PlannedRollout, ...]
    parent: str | None = None
    natural_weights: tuple[float, ...] = ()
    """Of an enriched suite: how many natural drives each of the first `planned` counts for.
    Those that follow are cases."""
    slices: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Declared slice to the ids of its segments."""

    @property
    def digest(self) -> str:
        return digest(self)


_VERSION = TypeAdapter(SuiteVersion)


def suite_version(document: Any) -> SuiteVersion:
    """A version as stored: the inverse of its canonical JSON, parsed."""
    return _VERSION.validate_python(document)


def gated(suite: Suite, cases: Iterable[str | None]) -> int:
    """How many of the planned rollouts, of these cases in their order, the gates are over: those
    before the must-pass cases; in a suite that has nothing else, all."""
    of = list(cases)
    return len(of) if suite.select is None and suite.gates else sum(not case for case in of)


def offset_name(offset: Offset) -> str:
    """`+0.50m+0.0m+1.0deg`: lateral, longitudinal, heading, as people read it."""
    heading_deg = np.degrees(offset.heading_rad)
    return f"{offset.lateral_m:+.2f}m{offset.longitudinal_m:+.1f}m{heading_deg:+.1f}deg"
