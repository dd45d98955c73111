"""Takes a picture of a page of a running server.

    python tests/browser/screenshot.py 'http://127.0.0.1:8008/login?key=...&next=/compare?ids=a,b' docs/compare.png [dark]

The address that `registry up` prints signs in; `next` (with & written as %26) is the page to show.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

CHROMIUM = shutil.which("chromium")
OPTIONS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LAPTOP = {"width": 1366, "height": 768}


def screenshot(url: str, out: Path, *, dark: bool = False) -> None:
    """Open `url`, wait until nothing loads and the charts are drawn, and write a PNG of what a laptop shows."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        page = browser.new_page(viewport=LAPTOP, color_scheme="dark" if dark else "light", device_scale_factor=2)
        page.goto(url, wait_until="networkidle")
        page.locator("main:not([aria-busy])").wait_for()
        page.wait_for_timeout(1500)  # charts draw in steps
        out.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=out)
        browser.close()


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    screenshot(sys.argv[1], Path(sys.argv[2]), dark="dark" in sys.argv[3:])
