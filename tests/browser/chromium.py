"""Finds a Chromium. Run as a program it says what to do where there is none.

Debian's headless shell is the same engine without a browser's windows, and takes a fifth of the
processor time.
"""

import os
import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # No process for each new page: a test has no other site, and to start one takes longer.
    "--process-per-site",
    "--renderer-process-limit=1",
]
HELP = """No Chromium was found, and the tests need a real browser. One of these brings it:
  apt-get install chromium-headless-shell  (Debian, as root)
  .venv/bin/playwright install chromium --with-deps
  CHROMIUM=/path/to/chromium make test     (one that is there already)
`make test-fast` runs tests that need none."""


def find_chromium():
    """The path of a Chromium: named by CHROMIUM, on PATH, or Playwright's own; else ``None``."""
    candidates = [
        os.environ.get("CHROMIUM"),
        shutil.which("chromium-headless-shell"),
        shutil.which("chromium"),
        shutil.which("google-chrome"),
    ]
    with sync_playwright() as playwright:
        candidates.append(playwright.chromium.executable_path)
    return next((path for path in candidates if path and Path(path).exists()), None)


if __name__ == "__main__" and find_chromium() is None:
    sys.exit(HELP)
