"""The dashboard in a real browser: plots, cursor and keys work, and the console stays silent."""

import io
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from server.db.queue_tables import ArtifactRow, DemandRow
from suites.vocabulary import RunVerdict

CHROMIUM = Path("/usr/bin/chromium")
PATIENCE_MS = 120_000
"""A machine that is busy with other tests; nothing here waits in vain."""
expect.set_options(timeout=PATIENCE_MS)
pytestmark = [
    pytest.mark.services,
    pytest.mark.skipif(
        not CHROMIUM.exists(), reason=f"{CHROMIUM} is not installed (apt-get install chromium)"
    ),
]


class Announced(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, app: FastAPI) -> None:
        super().__init__(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None))
        self.listens = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listens.set()


@pytest.fixture
def address(app: FastAPI, client: TestClient) -> Iterator[str]:
    """The app behind a real socket, gone before `client` closes the app."""
    server = Announced(app)
    thread = threading.Thread(target=server.run)
    thread.start()
    assert server.listens.wait(60)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=quiet, timeout=PATIENCE_MS
        )
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser, address: str) -> Iterator[Page]:
    """A page, closed before the service is; whatever its console complains about fails the test."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, color_scheme="dark")
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    complaints: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    page.on("console", listen)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert not complaints


@pytest.fixture
def pictures(app: FastAPI, driven: str, sessions: sessionmaker[Session]) -> None:
    """Sheets of 12 small frames, red from left to right, for position 4."""
    sheet = Image.new("RGB", (10 * 64, 2 * 32))
    for i in range(12):
        sheet.paste(
            (20 * i, 90, 90), (i % 10 * 64, i // 10 * 32, i % 10 * 64 + 64, i // 10 * 32 + 32)
        )
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG")
    sha256 = app.state.blobs.put(buffer.getvalue())
    detail = {"rate_hz": 4.0, "count": 12, "columns": 10, "tile_width": 64, "tile_height": 32}
    with sessions.begin() as session:
        keys = session.scalars(
            select(DemandRow.drive_key).where(DemandRow.owner_id == driven, DemandRow.position == 4)
        )
        for key in keys:
            session.add_all(
                [
                    ArtifactRow(drive_key=key, kind=kind, sha256=sha256, detail=detail)
                    for kind in ("log", "view")
                ]
            )


def test_a_run_leads_to_its_worst_case(
    address: str, page: Page, driven: str, decide: Callable[..., None]
) -> None:
    decide(driven, RunVerdict.FAIL, "FAIL: worse.")
    page.goto(f"{address}/runs")
    page.get_by_role("link", name="candidate").click()
    expect(page.get_by_text("Fail", exact=True)).to_be_visible()
    expect(page.get_by_role("img", name="interval of lateral_error_mean_m")).to_be_visible()
    page.locator("section[aria-labelledby=worst] a").first.click()
    expect(page).to_have_url(f"{address}/runs/{driven}/cases/4")
    expect(page.locator("#case[data-ready]")).to_be_visible()


def test_an_open_run_is_fetched_again_while_it_is_seen(
    address: str, page: Page, driven: str, decide: Callable[..., None]
) -> None:
    page.goto(f"{address}/runs/{driven}")
    expect(page.get_by_text("Not a verdict yet.")).to_be_visible()
    decide(driven, RunVerdict.PASS, "PASS: not worse.")
    expect(page.get_by_text("Pass", exact=True)).to_be_visible()
    expect(page.locator("#live[data-live]")).to_have_count(0)


@pytest.mark.usefixtures("pictures")
def test_plots_frames_cursor_and_keys(address: str, page: Page, driven: str) -> None:
    page.goto(f"{address}/runs/{driven}/cases/4?panel=speed")
    expect(page.locator("#case[data-ready]")).to_be_visible()
    expect(page.locator(".panel .plot .scatterlayer .trace path.js-line").first).to_be_visible()
    assert page.locator(".panel .plot .main-svg").count() >= page.locator(".panel").count() == 6
    expect(page.locator("#panel-speed.current")).to_be_visible()
    expect(page.locator("#now")).to_have_text("2.45 s")

    expect(page.locator(".frame[data-ready]")).to_have_count(3)
    frame = page.locator("figure[data-kind=view] .frame").first
    place = frame.evaluate("box => box.style.backgroundPosition")
    for key, shown in (
        (",", "2.40 s"),
        (",", "2.35 s"),
        (".", "2.40 s"),
        ("<", "1.90 s"),
        ("f", "2.45 s"),
    ):
        page.keyboard.press(key)
        expect(page.locator("#now")).to_have_text(shown)
    page.locator("#panel-lateral .plot").hover(position={"x": 200, "y": 80})
    expect(page.locator("#now")).not_to_have_text("2.45 s")
    assert frame.evaluate("box => box.style.backgroundPosition") != place
    expect(page.locator("#panel-lateral .cursor")).to_be_visible()
    page.wait_for_url(lambda url: "t=" in url and "panel=speed" in url)

    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("?")
    page.keyboard.press("j")
    expect(page).to_have_url(f"{address}/runs/{driven}/cases/7")
    expect(
        page.locator("#case[data-ready]")
    ).to_be_visible()  # before that nobody listens to its keys
    page.keyboard.press("k")
    expect(page).to_have_url(f"{address}/runs/{driven}/cases/4")


@pytest.mark.usefixtures("pictures")
def test_plots_follow_the_colour_scheme(address: str, page: Page, driven: str) -> None:
    page.goto(f"{address}/runs/{driven}/cases/4")
    line = page.locator("#panel-lateral .scatterlayer .trace path.js-line").first
    expect(line).to_have_css("stroke", "rgb(238, 134, 201)")
    page.emulate_media(color_scheme="light")
    expect(line).to_have_css("stroke", "rgb(160, 44, 125)")
