"""A suite from the TOML that people write."""

import tomllib
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from suites.definition.contradictions import contradictions
from suites.definition.suite_schema import Suite
from suites.errors import Finding, SubmitterError
from suites.manifest import validation_findings

_SUITE = TypeAdapter(Suite)


def load_suite(document: str | Path) -> Suite:
    """Suite from TOML text or a file. Raises SubmitterError naming field and remedy."""
    text = document.read_text() if isinstance(document, Path) else document
    try:
        suite = _SUITE.validate_python(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        remedy = "correct it there: https://toml.io explains the form"
        finding = Finding("document", str(error), remedy)
        raise SubmitterError(f"the suite is not TOML: {error}", finding) from None
    except ValidationError as error:
        raise SubmitterError("the suite is not valid", validation_findings(error)) from None
    if findings := tuple(contradictions(suite)):
        raise SubmitterError(f"suite {suite.name} contradicts itself", findings)
    return suite
