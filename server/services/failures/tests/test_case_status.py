"""The states of reports and drafts: one table, and one function that moves by it."""

import ast
from pathlib import Path

from server.services.failures import case_status
from suites.vocabulary import CASE_TRANSITIONS, CaseStatus


def test_every_state_is_reached_by_the_table_and_ends_somewhere() -> None:
    assert set(CASE_TRANSITIONS) == set(CaseStatus)
    reached = {to for targets in CASE_TRANSITIONS.values() for to in targets}
    assert reached | {CaseStatus.REPORTED} == set(CaseStatus)


def test_nothing_else_sets_a_status() -> None:
    def sets(node: ast.AST) -> bool:
        return isinstance(node, ast.Attribute) and (
            node.attr == "status" and isinstance(node.ctx, ast.Store)
        )

    room = Path(case_status.__file__).parent.glob("*.py")
    by_hand = {path.name for path in room if any(map(sets, ast.walk(ast.parse(path.read_text()))))}
    assert by_hand == {"case_status.py"}
