"""A headless Chromium, driven by Playwright, to look at pages as a person's browser would."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page as PlaywrightPage
from playwright.sync_api import sync_playwright

_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    # Nothing outside this machine can be reached, whatever a page asks for.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
_HEIGHT = 900


def chromium() -> str | None:
    """Return the browser's executable; None if there is none."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Page:
    """One open page and what it did since it was opened."""

    def __init__(self, page: PlaywrightPage) -> None:
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def open(self, place: Path | str, *, width: int, dark: bool = False) -> None:
        """Load a file or an address in a window of the given width, and wait until it has settled."""
        # What is still loading would be noted as the new page's.
        self.page.goto("about:blank")
        self.requests.clear()
        self.complaints.clear()
        self.page.set_viewport_size({"width": width, "height": _HEIGHT})
        self.page.emulate_media(color_scheme="dark" if dark else "light")
        self.page.goto(place if isinstance(place, str) else place.as_uri(), wait_until="load")

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        return self.page.evaluate(expression)

    def screenshot(self) -> bytes:
        """Return the whole page as a PNG, however long it is."""
        return self.page.screenshot(full_page=True)

    def barriers(self) -> list[str]:
        """Return what axe finds that keeps people out: contrast, labels, headings and the like."""
        found = Axe().run(self.page).response["violations"]
        return [f"{rule['id']}: {node['html'][:120]}" for rule in found for node in rule["nodes"]]


@contextlib.contextmanager
def open_browser(executable: str) -> Iterator[Page]:
    """Start a browser with a profile of its own, and end it and remove the profile afterwards."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(_FLAGS))
        try:
            yield Page(browser.new_page())
        finally:
            browser.close()
