"""The broker: how workers are woken.

Postgres is the queue of record, so a message carries no work and may be lost. A wake-up tells one
worker process to claim the next shard from the database. The coordinator keeps a few of them
waiting while shards are queued. Whatever happens to them (FLUSHALL, a killed worker, a broker that
is down), it sends new ones. Tasks are published by name: the server never imports workers.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from celery import Celery
from kombu.exceptions import ChannelError, OperationalError
from sqlalchemy import text
from sqlalchemy.orm import Session

from server.settings import Settings

log = logging.getLogger(__name__)

DRIVE = "workers.drive"
"""Task (device): claim and drive one shard."""
REMEASURE = "workers.remeasure"
"""Task (keys, metrics, conditions): measure from stored traces."""
RENDER = "workers.render"
"""Task (key, kind): make pictures of one stored rollout."""
PROBE = "workers.probe"
"""Task (numbers): drive stored rollouts again to compare the bits."""

HIGH = 0
LOW = 6
"""Priorities of messages on Redis, where 0 is served first: driving before measuring again."""

CHANNEL = "redrive_coordinator"
"""Postgres notifications that wake the coordinator."""

BROKER_ERRORS = (OperationalError, ChannelError, OSError)
"""What a broker that is down, full or frozen raises."""


def queue_name(device: str) -> str:
    """The queue of the workers that have this kind of device (`cpu`, `cuda`)."""
    return f"drive.{device}"


def celery_app(settings: Settings) -> Celery:
    """The Celery app: JSON only, acknowledged late, one message at a time, no result backend."""
    app = Celery("redrive", broker=settings.broker_url)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,
        task_acks_late=True,
        # a lost child's shard is claimed again from the database, which counts its attempts
        task_reject_on_worker_lost=False,
        task_time_limit=settings.shard_limit_s,
        task_publish_retry=False,
        task_create_missing_queues=True,
        worker_prefetch_multiplier=1,
        worker_max_tasks_per_child=settings.worker_shards,
        worker_enable_remote_control=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=2,
        broker_transport_options={
            "visibility_timeout": 2 * settings.shard_limit_s + 60,
            "unacked_restore_throttle": 1,
            "socket_timeout": 5,
            "socket_connect_timeout": 2,
            "queue_order_strategy": "priority",
        },
    )
    return app


def waiting(app: Celery, device: str) -> int:
    """Messages that no worker has taken yet. Raises one of BROKER_ERRORS."""
    with app.connection_for_read() as connection:
        connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0)
        channel: Any = connection.default_channel
        return int(channel.queue_declare(queue_name(device)).message_count)


def wake(app: Celery, device: str, count: int) -> None:
    """Publish wake-ups. Raises one of BROKER_ERRORS; the shards stay queued in Postgres then."""
    for _ in range(count):
        app.send_task(DRIVE, args=[device], queue=queue_name(device), priority=HIGH)


def remeasure(
    app: Celery,
    device: str,
    drive_keys: Sequence[str],
    *,
    metrics: Sequence[str] = (),
    conditions: Sequence[dict[str, Any]] = (),
) -> None:
    """Ask for metrics and conditions of stored rollouts. Raises one of BROKER_ERRORS."""
    args = [list(drive_keys), list(metrics), list(conditions)]
    app.send_task(REMEASURE, args=args, queue=queue_name(device), priority=LOW)


def render(app: Celery, drive_key: str, kind: str) -> None:
    """Ask for pictures of a stored rollout. Raises one of BROKER_ERRORS."""
    # at high priority: somebody waits for them
    app.send_task(RENDER, args=[drive_key, kind], queue=queue_name("cpu"), priority=HIGH)


def probe(app: Celery, by_device: Mapping[str, Sequence[int]], size: int) -> None:
    """Ask for stored rollouts to be driven again, `size` of them to a message. Without a broker
    they stay waiting, which the page of the checks shows."""
    try:
        for device, numbers in by_device.items():
            for first in range(0, len(numbers), size):
                args = [numbers[first : first + size]]
                app.send_task(PROBE, args=args, queue=queue_name(device), priority=LOW)
    except BROKER_ERRORS as error:
        log.warning("the broker is away, probes wait that nobody was asked to drive: %s", error)


def notify(session: Session) -> None:
    """Tell the coordinator, when this transaction commits, that there is something to do."""
    session.execute(text("SELECT pg_notify(:channel, '')"), {"channel": CHANNEL})
