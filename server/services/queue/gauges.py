"""Numbers of the queue for Prometheus.

They are counted in the database when asked for: every API process says the same."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import text
from sqlalchemy.orm import Session

RATE_WINDOW_S = 60
"""Rates are those of the last minute, so that they follow workers that come and go."""

GAUGES: dict[str, tuple[str, tuple[str, ...], str]] = {
    "redrive_shards": (
        "Shards that wait for a worker (queued) or are driven (leased).",
        ("status", "device"),
        "SELECT status, execution->>'device', count(*) FROM shards "
        "WHERE status IN ('queued', 'leased') GROUP BY 1, 2",
    ),
    "redrive_oldest_queued_shard_seconds": (
        "Age of the shard that has waited longest for a worker.",
        (),
        "SELECT coalesce(extract(epoch FROM now() - min(created)), 0) FROM shards "
        "WHERE status = 'queued'",
    ),
    "redrive_worker_processes": (
        "Processes of the workers that gave a sign of life in the last minute.",
        ("device",),
        "SELECT device, sum(concurrency) FROM workers "
        "WHERE seen > now() - interval '1 minute' GROUP BY 1",
    ),
    "redrive_runs": (
        "Runs that are not over.",
        ("status",),
        "SELECT status, count(*) FROM runs WHERE status IN ('queued', 'running') GROUP BY 1",
    ),
    "redrive_rollouts_per_second": (
        "Rollouts stored per second over the last minute, by how they ended.",
        ("outcome",),
        f"SELECT outcome, count(*)::float / {RATE_WINDOW_S} FROM rollouts "
        f"WHERE created > now() - interval '{RATE_WINDOW_S} seconds' GROUP BY 1",
    ),
    "redrive_infra_failed_rollouts": (
        "Rollouts that were given up after all attempts and that somebody still demands.",
        (),
        "SELECT count(*) FROM drive_keys WHERE failure IS NOT NULL AND EXISTS "
        "(SELECT FROM demands WHERE demands.drive_key = drive_keys.digest)",
    ),
    "redrive_open_alarms": (
        "Things that must never happen and that nobody has acknowledged.",
        ("kind",),
        "SELECT kind, count(*) FROM alarms WHERE acknowledged IS NULL GROUP BY 1",
    ),
}
"""Name to help, labels, and the statement that gives a row of labels and a number each."""


class _Counted(Collector):
    def __init__(self, session: Session) -> None:
        self._session = session

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for name, (help_, labels, statement) in GAUGES.items():
            gauge = GaugeMetricFamily(name, help_, labels=labels)
            for *values, number in self._session.execute(text(statement)):
                gauge.add_metric([str(value) for value in values], float(number))
            yield gauge


def queue_metrics(session: Session) -> bytes:
    """The gauges in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Counted(session))
    return generate_latest(registry)
