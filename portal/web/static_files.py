"""Serves the static files that ``portal/serving/build.py`` collected.

Their names contain a hash of the content, so browsers may cache them for ever; they are compressed
ahead of time.
"""

import json
from pathlib import Path
from wsgiref.headers import Headers

from flask import Flask
from whitenoise import WhiteNoise

TOP = Path(__file__).parents[2]
BUILT = TOP / "build" / "assets"
MANIFEST = "manifest.json"
HASH_DIGITS = 12
_PREFIX = "/static/"
# What programs ask for by these paths, whatever a page links to.
_AT_TOP = ("favicon.ico", "robots.txt")


class NotBuilt(Exception):
    """The static files were not collected; the message says how to."""


def init_app(app: Flask, headers: dict[str, str]) -> None:
    """Serve the static files with ``headers``, and give templates ``asset(name)``, the URL of one.
    Raises NotBuilt."""
    if not (BUILT / MANIFEST).exists():
        raise NotBuilt("The static files are missing. Build them: python -m portal.serving.build")
    names = json.loads((BUILT / MANIFEST).read_text())
    app.jinja_env.globals["asset"] = lambda name: _PREFIX + names[name]

    def add_headers(sent: Headers, path: str, url: str) -> None:
        for header in headers.items():
            sent.add_header(*header)

    files = WhiteNoise(
        app.wsgi_app,
        root=str(BUILT),
        prefix=_PREFIX,
        immutable_file_test=rf"\.[0-9a-f]{{{HASH_DIGITS}}}\.",
        allow_all_origins=False,
        add_headers_function=add_headers,
    )
    for name in _AT_TOP:
        files.add_file_to_dictionary(f"/{name}", str(BUILT / names[f"top/{name}"]))
    app.wsgi_app = files  # type: ignore[method-assign]
