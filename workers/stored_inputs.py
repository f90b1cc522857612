"""What tasks read back from the database and the blobs: drive_keys, models, traces and rollouts."""

from pathlib import Path

from pydantic import TypeAdapter

from server.db.bank_tables import ModelRow
from server.db.queue_tables import DriveKeyRow, RolloutRow
from server.storage import BlobStore
from suites.errors import MachineError
from suites.identity import canonical_json
from suites.manifest import Manifest, load_manifest
from suites.rollout import DriveKey, Rollout, Trace
from workers.process import Process

_DRIVE_KEY = TypeAdapter(DriveKey)


def read_drive_key(digest: str, document: object) -> DriveKey:
    """A stored drive_key. Raises MachineError where its digest is another one."""
    key = _DRIVE_KEY.validate_python(document)
    if key.digest != digest:
        differs = f"drive_key {digest[:12]} reads back as {key.digest[:12]}"
        raise MachineError(f"{differs}: this code can't know what it means")
    return key


def read_model(here: Process, digest: str) -> tuple[Manifest, dict[str, Path]]:
    """A model's manifest, and the files of its graphs by sha256."""
    with here.sessions() as session:
        manifest = load_manifest(canonical_json(session.get_one(ModelRow, digest).manifest))
    return manifest, {graph.sha256: here.blobs.path(graph.sha256) for graph in manifest.graphs}


def read_trace(blobs: BlobStore, sha256: str | None) -> Trace | None:
    """A stored trace; None for a rollout that has none. Raises DataError where it is lost."""
    return None if sha256 is None else Trace.from_bytes(blobs.get(sha256))


def read_rollout(here: Process, drive_key: str) -> Rollout:
    """A stored rollout with its trace."""
    with here.sessions() as session:
        row = session.get_one(RolloutRow, drive_key)
        document = session.get_one(DriveKeyRow, drive_key).key
    return Rollout(
        key=read_drive_key(drive_key, document),
        outcome=row.outcome,
        reason=row.reason,
        ended_s=row.ended_s,
        trace=read_trace(here.blobs, row.trace_sha256),
        trusted_share=row.trusted_share,
        provenance=row.provenance,
    )
