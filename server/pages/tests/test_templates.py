"""Templates, styles and scripts are lines that one reads."""

import web

WIDTH = 140


def test_no_line_is_longer_than_one_reads() -> None:
    texts = [*web.TEMPLATES.rglob("*.html"), *web.STATIC.glob("*.css"), *web.STATIC.glob("*.js")]
    assert len(texts) > 20
    long = [
        f"{path.name}:{number}"
        for path in texts
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if len(line) > WIDTH
    ]
    assert long == []
