"""What tests ask of the service about cases and waivers, and how they read its answers."""

from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi.testclient import TestClient

CASE = """
[[cases]]
name = "{}"
segment = "r1/0"
[[cases.conditions]]
always = {{ signal = "speed_mps", above = {} }}
"""


def specific(suite: str, *cases: str, **bounds: float) -> str:
    """TOML of a suite: of cases as they are written, and of cases that need a speed, by name."""
    needed = [CASE.format(name, above_mps) for name, above_mps in bounds.items()]
    return f'name = "{suite}"\nkind = "specific"\n' + "\n".join((*cases, *needed))


def kind(answer: Any) -> tuple[int, str]:
    """Status and kind of a problem."""
    return answer.status_code, answer.json()["type"].partition("#")[2]


def waive(client: TestClient, days: float = 7, **changes: Any) -> Any:
    """The answer to a waiver of case `drifted` of `surprises`."""
    expires = (datetime.now(UTC) + timedelta(days=days)).isoformat()
    body = {"suite": "surprises", "case": "drifted", "owner": "bo", "expires": expires}
    body["reason"] = "fixed by the next camera"
    return client.post("/v1/waivers", json=body | changes)
