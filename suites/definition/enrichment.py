"""Enriched suites: what is hard is driven more often than it occurs, with known probability.

Poisson sampling of the grid of segments and offsets (suites.enriched_rates). It is pure
in the suite and the stored segments: anyone can draw and weigh again. It is for the rates of rare
incidents alone, since its pairs are no natural driving.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from pydantic import Field

from suites.enriched_rates import LEAST_NATURAL, poisson_sample
from suites.errors import Finding, SubmitterError
from suites.manifest import STRICT
from suites.rollout import Offset, Scenario
from suites.segment import SegmentMeta

Factor = Annotated[float, Field(gt=0, le=10_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrichment:
    """How a suite's grid of segments and offsets is thinned in favour of what is hard."""

    __pydantic_config__ = STRICT

    share: Annotated[float, Field(gt=0, le=1)]
    """At most this share of the grid is driven, in expectation."""
    natural_share: Annotated[float, Field(ge=LEAST_NATURAL, le=1)] = LEAST_NATURAL
    """Of the drives, the share that is drawn as natural driving begins.
    A drive counts at most 1 / natural_share times."""
    offset_factors: tuple[Factor, ...] = ()
    """How many times as often as it occurs the other drives prefer each offset, in order."""
    tag_factors: dict[str, Factor] = field(default_factory=dict)
    """The same for the segments with a tag; the factors of several tags multiply."""


def enrichment_contradictions(
    enriched: Enrichment, offset_weights: Sequence[float], offsets: int, judged: Mapping[str, bool]
) -> Iterator[Finding]:
    """What an enriched suite may not be.

    `judged`: fields that would judge its pairs as natural driving, and whether they are set.
    """
    if not offset_weights:
        problem = (
            "nothing says how often natural driving begins at each offset, "
            "so no drive could be weighted back"
        )
        yield Finding("enriched", problem, "state offset_weights")
    if enriched.offset_factors and len(enriched.offset_factors) != offsets:
        problem = f"{len(enriched.offset_factors)} factors for {offsets} offsets"
        remedy = "give one for each offset, in their order"
        yield Finding("enriched.offset_factors", problem, remedy)
    chosen = "drives that were chosen because they are hard"
    for name, is_set in judged.items():
        if is_set:
            yield Finding(
                name,
                f"{chosen} are not what the candidate is judged by",
                "judge on a suite without [enriched]; this one tells the rates of rare incidents",
            )


def draw(
    enriched: Enrichment,
    scenarios: Sequence[Scenario],
    natural: Mapping[Offset, float],
    metas: Mapping[str, SegmentMeta],
    seed: int,
) -> dict[Scenario, float]:
    """The scenarios that are driven, each with its natural weight.

    `natural`: how often driving begins at each offset, in the order of `offset_factors`.
    Raises SubmitterError where a tag is on no segment, or nothing is drawn.
    """
    tags = [metas[scenario.segment_id].tags for scenario in scenarios]
    for tag in sorted(set(enriched.tag_factors) - {tag for of_one in tags for tag in of_one}):
        problem = "no selected segment has this tag"
        remedy = "see `redrive segments list`"
        finding = Finding(f"enriched.tag_factors.{tag}", problem, remedy)
        message = f"the enriched suite prefers segments with tag {tag}, and there is none"
        raise SubmitterError(message, finding)
    factors = dict(zip(natural, enriched.offset_factors or (1.0,) * len(natural), strict=True))
    preferred = [np.prod([enriched.tag_factors.get(tag, 1.0) for tag in one]) for one in tags]
    harder = [factors[s.offset] * float(f) for s, f in zip(scenarios, preferred, strict=True)]
    p = np.array([natural[scenario.offset] for scenario in scenarios])
    probability, weight = poisson_sample(
        p, p * harder, enriched.natural_share, enriched.share * len(scenarios)
    )
    # a stream of its own: the order of the routes is drawn from the seed itself
    taken = np.random.default_rng([seed, 1]).random(len(scenarios)) < probability
    if not taken.any():
        problem = f"none of {len(scenarios)} drives was drawn at a share of {enriched.share:g}"
        finding = Finding("enriched.share", problem, "make it larger")
        raise SubmitterError("the enriched suite drives nothing", finding)
    return {scenarios[i]: float(weight[i]) for i in np.flatnonzero(taken).tolist()}
