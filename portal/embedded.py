"""What an embedded portal leaves in ``instance/`` for the commands beside it: its settings."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from portal.settings import every_setting

INSTANCE = Path("instance")
_SETTINGS = INSTANCE / "settings.json"


@contextmanager
def settings_left() -> Iterator[None]:
    """While inside, leave this process's settings for commands: for its own user's eyes, as the
    secrets that are there already."""
    names = [setting.name.upper() for setting in every_setting()]
    fresh = _SETTINGS.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps({name: os.environ[name] for name in names if name in os.environ}))
    fresh.rename(_SETTINGS)  # whole or not at all
    try:
        yield
    finally:
        _SETTINGS.unlink(missing_ok=True)


def read_settings() -> dict[str, str] | None:
    """The settings of the portal that runs, or was killed, in this folder."""
    try:
        return json.loads(_SETTINGS.read_text())
    except FileNotFoundError:
        return None
