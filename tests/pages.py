"""Keeps every page that tests see, and has the W3C's validator check them: ``make html``."""

import hashlib
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from flask import request, request_finished

CHECK_SECONDS = 600
LONGEST_PLACE = 100
# What differs between two pages that are the same: what was typed, unless a control character is
# in it; ids, hashes, tokens; times.
PLAIN = r"[^<>\"\x00-\x1f\x7f-\x9f]*"
VARYING = re.compile(
    rf'value="{PLAIN}"|<code>{PLAIN}</code>|[0-9a-f-]{{16,}}|\d+:\d+(:\d+)?(\.\d+)?'
)
# Scripts put these into a page.
PIECE = (
    "<!doctype html><html lang=en><title>A piece of a page</title><body><h1>Page</h1><div>{}</div>"
)

_folders = []


def keep_in(folder):
    """From now on keep every HTML answer in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    _folders.append(folder)
    request_finished.connect(_keep_answer, weak=False)


def keep(response, path):
    """Keep the answer if it is a page and not there yet; its status and path are in its name."""
    if not _folders or response.mimetype != "text/html" or response.location:
        return
    [folder] = _folders
    html = response.get_data(as_text=True)
    digest = hashlib.sha256(VARYING.sub("", html).encode()).hexdigest()[:16]
    if any(folder.glob(f"*{digest}.html")):
        return
    place = quote(path, safe="", errors="replace")[:LONGEST_PLACE]
    name = f"{response.status_code} {place} {digest}.html"
    whole = html.lstrip().lower().startswith("<!doctype")
    (folder / name).write_text(html if whole else PIECE.format(html))


def _keep_answer(app, response, **_):
    keep(response, request.path)


def main(vnu, folder):
    jar = vnu / "node_modules/vnu-jar/build/dist/vnu.jar"
    checked = subprocess.run(
        ["java", "-jar", jar, "--format", "json", "--stdout", "--exit-zero-always", "--skip-info-messages", folder],
        check=True, timeout=CHECK_SECONDS, stdout=subprocess.PIPE,
    )  # fmt: skip
    messages = json.loads(checked.stdout)["messages"]
    for message in messages:
        status, place, _ = Path(unquote(urlsplit(message["url"]).path)).name.split(" ")
        path, line = place.replace("%2F", "/"), message.get("lastLine")
        print(f"{kind(message)}: {status} {path}, line {line}: {message['message']!r}")
        print(f"    {message.get('extract', '').strip()!r}")
    errors = sum(kind(message) == "error" for message in messages)
    pages = Counter(page.name.split(" ")[0] for page in folder.iterdir())
    print(f"{'status':<8} {'pages':>6}")
    for status, number in sorted(pages.items()):
        print(f"{status:<8} {number:>6}")
    print(f"{pages.total()} pages, {errors} errors, {len(messages) - errors} warnings")
    sys.exit(errors > 0 or not pages)


def kind(message):
    return "warning" if message["type"] == "info" else "error"


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
