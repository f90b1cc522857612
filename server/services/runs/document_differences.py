"""In which fields two JSON documents differ, as findings that people read."""

from typing import Any

from suites.errors import Finding


def version_differences(
    one: dict[str, Any], other: dict[str, Any], most: int = 20
) -> list[Finding]:
    """The fields in which two suite versions differ, what people wrote first. The plan follows from
    that and from the segments' digests. Versions that agree in all of it differ in their parent
    only."""
    found: list[Finding] = []
    for part in ("suite", "metric_versions", "planned"):
        found += differences(one[part], other[part], part, most - len(found))
    return found or differences(one, other)


def differences(one: Any, other: Any, where: str = "", most: int = 20) -> list[Finding]:
    """The fields in which two JSON documents differ, at most `most` of them."""
    if isinstance(one, dict) and isinstance(other, dict):
        pairs = [
            (f"{where}.{key}".lstrip("."), one.get(key), other.get(key))
            for key in sorted(one.keys() | other.keys())
        ]
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = [(f"{where}.{i}", a, b) for i, (a, b) in enumerate(zip(one, other, strict=True))]
    elif one == other:
        return []
    else:
        return [Finding(where, f"{_brief(one)} in the first, {_brief(other)} in the other")]
    found: list[Finding] = []
    for name, a, b in pairs:
        found += differences(a, b, name, most - len(found))
        if len(found) >= most:
            break
    return found[:most]


def _brief(value: Any) -> str:
    if value is None:
        return "not given"
    if isinstance(value, list):
        return f"{len(value)} entries"
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."
