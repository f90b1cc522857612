"""Templates, styles and scripts are lines that one reads; the head of a page is the way to all."""

import web
from server.pages.rendering import templates
from server.pages.tests.outline import pages_without_id

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


def test_the_head_of_a_page_links_to_every_page_without_an_id() -> None:
    sections = templates().get_template("base.html").module.SECTIONS  # type: ignore[attr-defined]
    assert sorted(sections) == sorted(pages_without_id())
