"""The names under which the server asks for tasks."""

from collections.abc import Callable

from celery import Celery

from server.broker import DRIVE, PROBE, REMEASURE, RENDER
from workers.tasks.drive_shard import drive
from workers.tasks.probe import probe
from workers.tasks.remeasure import remeasure
from workers.tasks.render_pictures import render

TASKS: dict[str, Callable[..., None]] = {
    DRIVE: drive,
    REMEASURE: remeasure,
    RENDER: render,
    PROBE: probe,
}


def register(app: Celery) -> None:
    """Make the tasks known to the app of a worker."""
    for name, task in TASKS.items():
        app.task(name=name)(task)
