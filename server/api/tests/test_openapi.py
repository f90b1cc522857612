"""The OpenAPI document is valid, and the service keeps to it under generated requests."""

from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import positive_data_acceptance

pytestmark = pytest.mark.services
STREAMS = "/v1/runs/{run_id}/events"


def test_every_route_declares_its_problems_and_shapes(client: TestClient) -> None:
    document = client.get("/v1/openapi.json").json()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            where = f"{method} {path}"
            assert operation["summary"], where
            if path != "/v1/health":
                assert "422" in operation["responses"], where
                problem = operation["responses"]["422"]["content"]["application/problem+json"][
                    "schema"
                ]["$ref"]
                assert problem == "#/components/schemas/Problem", where
                assert {"500", "503"} <= operation["responses"].keys(), where
    lists = [
        methods["get"]
        for methods in document["paths"].values()
        if "limit" in str(methods.get("get", {}).get("parameters"))
    ]
    for operation in lists:
        name = operation["responses"]["200"]["content"]["application/json"]["schema"][
            "$ref"
        ].rpartition("/")[2]
        assert document["components"]["schemas"][name]["properties"].keys() == {"items", "next"}
    assert len(lists) == 11


def test_generated_requests_never_break_the_contract(
    app: FastAPI, submit: Callable[..., Any]
) -> None:
    submit()
    schema = schemathesis.openapi.from_asgi("/v1/openapi.json", app)
    found = schema.exclude(path=STREAMS).get_all_operations()
    operations = [result.ok() for result in found if isinstance(result, Ok)]
    assert len(operations) > 25
    for operation in operations:

        @given(case=operation.as_strategy())
        @settings(
            max_examples=5,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def keeps_its_word(case: Any) -> None:
            case.call_and_validate(
                excluded_checks=[positive_data_acceptance]
            )  # names that nobody registered are refused

        keeps_its_word()
