"""A case as the text that people put in a suite's file."""

import json
from dataclasses import asdict, fields
from typing import Any

from suites.definition.suite_schema import CaseSpec
from suites.rollout import Noise, Offset

READ = (
    "name",
    "judge",
    "from_s",
    "to_s",
    "when",
    "always",
    "eventually",
    "share",
    "signal",
    "absolute",
    "above",
    "below",
    "for_s",
)
"""The order in which people read a condition, however it was stored."""


def case_toml(spec: CaseSpec) -> str:
    """`[[cases]]` with what is not its default; reading it back gives the same case."""
    lines = ["[[cases]]"]
    for field in fields(spec):
        value = getattr(spec, field.name)
        is_default = value in (None, "", Offset(), Noise())
        is_default |= field.name == "repeats" and value == 1
        if is_default or field.name == "conditions":
            continue
        stated = _changed(value) if isinstance(value, Offset | Noise) else value
        lines.append(f"{field.name} = {_value(stated)}")
    for condition in spec.conditions:
        lines.append("[[cases.conditions]]")
        stated = {key: part for key, part in condition.items() if part is not None}
        lines += [f"{key} = {_value(part)}" for key, part in _in_order(stated)]
    return "\n".join(lines) + "\n"


def _changed(value: Offset | Noise) -> dict[str, float]:
    return {name: number for name, number in asdict(value).items() if number}


def _in_order(table: dict[str, Any]) -> list[tuple[str, Any]]:
    return sorted(
        table.items(), key=lambda item: READ.index(item[0]) if item[0] in READ else len(READ)
    )


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(part)}" for key, part in _in_order(value)) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(part) for part in value) + "]"
    return json.dumps(value, ensure_ascii=False)
