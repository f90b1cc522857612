"""The blob store: whole or not at all, under the digest of its bytes."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.storage import BlobStore, DigestMismatchError, TooLargeError
from suites.errors import DataError, MachineError, SubmitterError


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs")


def files(store: BlobStore) -> list[Path]:
    return [path for path in store.root.rglob("*") if path.is_file()]


def test_bytes_and_files_are_stored_once_under_their_digest(
    store: BlobStore, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    sha256 = hashlib.sha256(b"abc").hexdigest()
    assert store.put(b"abc") == store.put(tmp_path / "file") == sha256
    assert store.has(sha256)
    assert store.get(sha256) == store.path(sha256).read_bytes() == b"abc"
    assert files(store) == [store.path(sha256)]


def test_a_refused_stream_leaves_nothing(store: BlobStore) -> None:
    with pytest.raises(DigestMismatchError):
        store.put_stream([b"abc"], expect="0" * 64)
    with pytest.raises(TooLargeError):
        store.put_stream([b"abc", b"def"], max_bytes=5)

    def broken() -> Iterator[bytes]:
        yield b"abc"
        raise ConnectionResetError("the client went away")

    with pytest.raises(MachineError):
        store.put_stream(broken())
    assert files(store) == []


def test_the_limit_itself_is_allowed(store: BlobStore) -> None:
    assert store.put_stream([b"abc"], max_bytes=3) == hashlib.sha256(b"abc").hexdigest()


def test_missing_and_damaged_blobs_are_the_datas_problem(store: BlobStore) -> None:
    with pytest.raises(DataError, match="not stored"):
        store.get("0" * 64)
    sha256 = store.put(b"abc")
    store.path(sha256).write_bytes(b"abd")
    with pytest.raises(DataError, match="damaged"):
        store.get(sha256)


@pytest.mark.parametrize("name", ["../../etc/passwd", "a" * 63, "A" * 64, ""])
def test_only_digests_name_blobs(store: BlobStore, name: str) -> None:
    with pytest.raises(SubmitterError, match="no sha256"):
        store.has(name)
