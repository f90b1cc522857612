"""Text with code in it, as HTML."""

import re

from markupsafe import Markup, escape


def code(text: str) -> Markup:
    """What stands between backticks as code; everything else escaped."""
    return Markup(re.sub("`([^`]*)`", r"<code>\1</code>", str(escape(text))))
