"""What a night looks at: the newest run of some suites."""

from server.services.health.night_choice import SUITES, FinishedRun, newest_of_suites


def test_the_newest_run_of_each_suite_of_two_distinct_models() -> None:
    finished = [
        FinishedRun("self", "highway", "a", "a"),
        FinishedRun("newest", "highway", "b", "a"),
        FinishedRun("older", "highway", "c", "a"),
        FinishedRun("other", "town", "b", "a"),
    ]
    assert newest_of_suites(finished) == ["newest", "other"]
    many = [FinishedRun(f"r{i}", f"suite-{i}", "b", "a") for i in range(SUITES + 2)]
    assert newest_of_suites(many) == [run.id for run in many[:SUITES]]
