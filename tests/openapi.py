"""Has the OpenAPI document judged by two linters: ``make openapi``."""

import secrets
import subprocess
import sys
from pathlib import Path

from portal.app import create_app
from portal.settings import Settings
from portal.web.static_files import TOP

FOLDER = TOP / "build" / "openapi"
RULES = Path(__file__).parent / "linters"


def main(redocly, spectral):
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / "openapi.json"
    path.write_text(document())
    linters = [
        (
            redocly / "node_modules/@redocly/cli/bin/cli.js",
            *("lint", "--config", RULES / "redocly.yaml", "--max-problems", "1000"),
        ),
        (
            spectral / "node_modules/@stoplight/spectral-cli/dist/index.js",
            *("lint", "--ruleset", RULES / "spectral.yaml", "--fail-severity", "hint"),
        ),
    ]
    print(f"{path.relative_to(TOP)}: {path.stat().st_size} bytes", flush=True)
    failed = [subprocess.run(["node", *linter, path], check=False).returncode for linter in linters]
    sys.exit(any(failed))


def document():
    """The document of a portal that needs no database to tell it."""
    app = create_app(
        Settings(
            mongo_uri="mongodb://localhost/?replicaSet=none",
            master_db="master",
            tenant_db="tenant",
            jwt_secret=secrets.token_hex(32),
            secret_key=secrets.token_hex(32),
            public_url="https://portal.example",
        )
    )
    return app.extensions["openapi"].text


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
