"""Names that do not meet: which is nearest, and what a spreadsheet or a script did to it."""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from suites.errors import Finding, SubmitterError


class Near(NamedTuple):
    """Two ids that only their spelling keeps apart."""

    candidate: str
    baseline: str
    why: str


def _without_zeros(name: str) -> str:
    return re.sub(r"(?<!\d)0+(?=\d)", "", name)


SPELLINGS: dict[str, Callable[[str], str]] = {
    "other case": str.casefold,
    "a decimal point gained": lambda name: re.sub(r"(?<=\d)\.0+$", "", name),
    "leading zeros lost": _without_zeros,
    "blanks inside": lambda name: "".join(name.split()),
}
"""What differs, to the form in which it does not."""

REMEDY = "write ids as text, and alike in the rows of both models"


def near_ids(candidate: Iterable[str], baseline: Iterable[str]) -> list[Near]:
    """The ids of each model that the other lacks and has in another spelling, in their order."""
    candidate, baseline = dict.fromkeys(candidate), dict.fromkeys(baseline)
    forms = {_plain(name): name for name in baseline if name not in candidate}
    alone = [name for name in candidate if name not in baseline]
    return [
        Near(n, forms[_plain(n)], _why(n, forms[_plain(n)])) for n in alone if _plain(n) in forms
    ]


def near_text(near: Near, models: tuple[str, str]) -> str:
    """`'ff_a 00012' ~ 'ff_b 12' (leading zeros lost)`."""
    why = f" ({near.why})" if near.why else ""
    return f"'{models[0]} {near.candidate}' ~ '{models[1]} {near.baseline}'{why}"


def no_common_segment(
    path: str, driven: Sequence[Mapping[str, object]], models: tuple[str, str]
) -> SubmitterError:
    """Why no pair can be formed of the segments of (candidate, baseline)."""
    found = near_ids(*driven)
    first = next(iter(driven[0]), "")
    near = found[0] if found else Near(first, closest(first, driven[1]), "")
    told = [f"{len(rows):,} of {name}" for rows, name in zip(driven, models, strict=True)]
    alike = f"nearest: {near_text(near, models)}" if near.baseline else "none alike"
    finding = Finding("segment", f"{' and '.join(told)}; {alike}", REMEDY)
    problem = f"{path}: {models[0]} and {models[1]} have no segment in common"
    return SubmitterError(problem, finding)


def closest(name: str, names: Iterable[str]) -> str:
    """The most similar of `names`; empty where none is."""
    return next(iter(difflib.get_close_matches(name, list(names), n=1)), "")


def _plain(name: str) -> str:
    """Without what a spreadsheet or another script may have changed."""
    for form in SPELLINGS.values():
        name = form(name)
    return name


def _why(one: str, other: str) -> str:
    """What keeps two ids apart: one thing, or several."""
    single = [why for why, form in SPELLINGS.items() if form(one) == form(other)]
    return single[0] if single else "several differences"
