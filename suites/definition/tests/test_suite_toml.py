"""Text that is no suite."""

import pytest

from suites.definition.suite_toml import load_suite
from suites.errors import SubmitterError


def test_text_that_is_not_toml_names_the_line() -> None:
    with pytest.raises(SubmitterError, match="line 2"):
        load_suite('name = "x"\nkind = ,\n')
