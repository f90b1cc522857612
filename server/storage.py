"""The blob store: bytes by sha256, written atomically, never changed."""

import hashlib
import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from suites.errors import DataError, Finding, MachineError, SubmitterError

_CHUNK = 1 << 20


class TooLargeError(SubmitterError):
    """More bytes than the installation takes."""


class DigestMismatchError(SubmitterError):
    """Other bytes than were announced."""


class BlobStore:
    """Files under `root/ab/abcdef...`, which any process may add: whole or not at all."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, sha256: str) -> Path:
        """Where the blob lies. Raises DataError when it isn't stored."""
        path = self._place(sha256)
        if not path.is_file():
            finding = Finding(f"blobs/{sha256}", "missing", "upload or import it again")
            raise DataError(f"blob {sha256[:12]} is not stored", finding)
        return path

    def has(self, sha256: str) -> bool:
        return self._place(sha256).is_file()

    def get(self, sha256: str) -> bytes:
        """The bytes, checked. Raises DataError when missing or damaged."""
        data = self.path(sha256).read_bytes()
        if hashlib.sha256(data).hexdigest() != sha256:
            problem = "its bytes have another digest"
            remedy = "remove the file and upload it again"
            finding = Finding(str(self._place(sha256)), problem, remedy)
            raise DataError(f"blob {sha256[:12]} is damaged", finding)
        return data

    def put(self, data: bytes | Path) -> str:
        """Store bytes or a copy of a file; returns its sha256. Storing twice is free."""
        if isinstance(data, bytes):
            return self.put_stream([data])
        with data.open("rb") as file:
            return self.put_stream(iter(lambda: file.read(_CHUNK), b""))

    def put_stream(
        self, chunks: Iterable[bytes], *, expect: str | None = None, max_bytes: int | None = None
    ) -> str:
        """Store a stream; returns its sha256. Nothing remains of a refused one.

        Raises TooLargeError as soon as it exceeds `max_bytes`, DigestMismatchError when its digest
        is not `expect`, MachineError when the disk refuses.
        """
        if expect is not None:
            self._place(expect)
        try:
            return self._put_stream(chunks, expect, max_bytes)
        except OSError as error:
            remedy = "free some space, or let the service write there"
            finding = Finding(str(self.root), str(error), remedy)
            message = f"the blob store can't be written: {error.strerror}"
            raise MachineError(message, finding) from error

    def _put_stream(
        self, chunks: Iterable[bytes], expect: str | None, max_bytes: int | None
    ) -> str:
        # written beside the blobs and renamed: readers never see half a file
        incoming = self.root / "incoming"
        incoming.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=incoming)
        temporary = Path(name)
        try:
            hasher = hashlib.sha256()
            size = 0
            with os.fdopen(handle, "wb") as file:
                for chunk in chunks:
                    size += len(chunk)
                    if max_bytes is not None and size > max_bytes:
                        remedy = "raise the installation's limit, or send less"
                        finding = Finding("body", f"more than {max_bytes} bytes", remedy)
                        message = f"the upload is larger than {max_bytes} bytes"
                        raise TooLargeError(message, finding)
                    hasher.update(chunk)
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            sha256 = hasher.hexdigest()
            if expect is not None and sha256 != expect:
                problem = f"their sha256 is {sha256}, {size} bytes"
                finding = Finding("body", problem, "send the file again under its own digest")
                message = "the bytes that arrived are not the ones that were announced"
                raise DigestMismatchError(message, finding)
            place = self._place(sha256)
            place.parent.mkdir(exist_ok=True)
            temporary.chmod(0o644)
            temporary.replace(place)
            return sha256
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()

    def _place(self, sha256: str) -> Path:
        if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
            finding = Finding("sha256", "not 64 lower-case hex digits", "see `sha256sum FILE`")
            raise SubmitterError(f"{sha256[:80]!r} is no sha256", finding)
        return self.root / sha256[:2] / sha256
