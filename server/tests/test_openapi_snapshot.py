"""The OpenAPI document is the stored one: clients rely on it, so it changes only where meant.

`python -m server.tests.test_openapi_snapshot` stores the document of today.
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from fastapi.testclient import TestClient

from server.app import create_app
from server.settings import Settings
from suites.tests.stored import differences, write

STORED = Path(__file__).with_name("snapshots") / "openapi.json"
MODULE = "server.tests.test_openapi_snapshot"
REMEDY = f"Where that is meant, run `python -m {MODULE}` and commit {STORED.name}."


def served(folder: Path) -> dict[str, Any]:
    """As GET /v1/openapi.json answers; it needs no database."""
    address = "postgresql+psycopg://nobody@localhost:1/none"
    settings = Settings(database_url=address, data=folder, public_url="http://redrive.test")
    client = TestClient(create_app(settings), base_url="http://redrive.test")
    answer = client.get("/v1/openapi.json")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def parts(document: dict[str, Any]) -> dict[str, Any]:
    """The document by what people name in it: operations, schemas, and the rest."""
    components = dict(document["components"])
    schemas = components.pop("schemas")
    named = {f"schema {name}": schema for name, schema in schemas.items()}
    for path, methods in document["paths"].items():
        named |= {f"{method.upper()} {path}": operation for method, operation in methods.items()}
    rest = {key: value for key, value in document.items() if key not in ("paths", "components")}
    return named | {f"the {key}": value for key, value in (rest | components).items()}


def test_the_document_is_the_stored_one(tmp_path: Path) -> None:
    kept, found = parts(json.loads(STORED.read_text())), parts(served(tmp_path))
    gone, new = sorted(kept.keys() - found.keys()), sorted(found.keys() - kept.keys())
    changed = {
        name: lines[:5]
        for name in sorted(kept.keys() & found.keys())
        if (lines := differences(kept[name], found[name]))
    }
    told = [f"gone: {name}" for name in gone] + [f"new: {name}" for name in new]
    told += [f"changed: {name}\n    " + "\n    ".join(lines) for name, lines in changed.items()]
    if told:
        pytest.fail("the OpenAPI document changed:\n  " + "\n  ".join(told) + "\n" + REMEDY)


if __name__ == "__main__":
    with TemporaryDirectory() as root:
        write(STORED, served(Path(root)))
