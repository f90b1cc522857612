"""The line that follows a run."""

from typing import Any

from cli.progress_line import progress_line


def test_evidence_is_named_as_no_verdict_and_goes_when_there_is_one() -> None:
    progress: dict[str, Any] = {
        "done": 123,
        "total": 480,
        "rollouts_per_s": 6.2,
        "seconds_left": 58.0,
        "infra_failed": 0,
        "worst": None,
        "outcomes": {"candidate": {"completed": 60, "failed": 3}, "baseline": {"completed": 60}},
    }
    document = {"method": {"evidence": {"e_values": [0.4, 2.13], "threshold": 40.0}}}
    run: dict[str, Any] = {
        "status": "running",
        "progress": progress,
        "verdict": None,
        "verdict_document": document,
    }
    assert progress_line(run) == (
        "running · 123 of 480 rollouts · 6.2/s · 58 s left · 3 failed · "
        "evidence of a change 2.1 of 40, not a verdict"
    )
    assert "evidence" not in progress_line(run | {"verdict": "pass"})
    assert "evidence" not in progress_line(run | {"verdict_document": None})
