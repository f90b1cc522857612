"""Proofs of drafts: what is seen again is made small, what is not is said, ours is called ours."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from server.coordinator import Coordinator
from server.db.base import OwnerKind
from server.db.queue_tables import DemandRow
from server.services.failures import proof as prove
from server.tests.asking import kind

pytestmark = pytest.mark.services


def test_what_does_not_fail_is_not_reproduced(
    draft: Callable[..., Any], settle: Callable[[str], dict[str, Any]], client: TestClient
) -> None:
    fine = settle(
        draft(
            offender="baseline", control="clone", name="fine", report=None, segment="r1/0", at_s=1.0
        ).json()["id"]
    )
    assert fine["status"] == "not reproduced"
    assert "drove like the control" in fine["reason"]
    assert client.get("/v1/suite-versions/surprises").status_code == 404


def test_a_fault_of_ours_is_called_so(
    draft: Callable[..., Any],
    settle: Callable[[str], dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise KeyError("x")

    monkeypatch.setattr(prove, "examine", fail)
    lost = settle(draft().json()["id"])
    assert lost["status"] == "not reproduced"
    assert lost["reason"].startswith("a fault of ours (KeyError: 'x'): report it")


def test_a_case_that_its_control_fails_is_quarantined_and_cannot_be_accepted(
    draft: Callable[..., Any], settle: Callable[[str], dict[str, Any]], client: TestClient
) -> None:
    rule = {"always": {"signal": "lateral_offset_m", "absolute": True, "below": 1.0}}
    case = {"start_s": 2.0, "end_s": 10.0, "conditions": [rule]}
    held = settle(draft(control="clone", case=case).json()["id"])
    assert held["status"] == "quarantined"
    assert "control passes only 0 of 3" in held["reason"]
    decision = {"actor": "bo", "version": held["version"]}
    assert kind(client.post(f"/v1/case-drafts/{held['id']}/accept", json=decision)) == (
        409,
        "not-now",
    )


@pytest.mark.parametrize("as_written", [False, True])
def test_a_case_of_ones_own_is_made_small_unless_it_is_to_stay(
    draft: Callable[..., Any], settle: Callable[[str], dict[str, Any]], as_written: bool
) -> None:
    rule = {"always": {"signal": "lateral_offset_m", "absolute": True, "below": 1.0}}
    case = {"start_s": 1.0, "offset": {"lateral_m": 0.5}, "conditions": [rule]}
    proven = settle(draft(case=case, as_written=as_written).json()["id"])
    assert proven["status"] == "drafted", proven["reason"]
    spec = proven["spec"]
    if as_written:
        assert (spec["start_s"], spec["end_s"], spec["offset"]["lateral_m"]) == (1.0, 12.0, 0.5)
        assert proven["told"].endswith("as written")
    else:
        assert 5.0 < spec["start_s"] < 6.0 < spec["end_s"] < 8.0
        assert spec["offset"]["lateral_m"] == 0
        assert "window from 1–12 s to" in proven["told"]
    assert spec["conditions"] == [rule]


def test_a_proof_owns_its_demands(
    draft: Callable[..., Any], coordinator: Coordinator, sessions: sessionmaker[Session]
) -> None:
    draft_id = draft().json()["id"]
    coordinator.tick()
    with sessions() as session:
        owners = {(row.owner_kind, row.owner_id) for row in session.scalars(select(DemandRow))}
    assert owners == {(OwnerKind.PROOF, draft_id)}
