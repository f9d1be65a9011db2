"""What an embedded portal keeps in ``instance/``: the secrets that it made for itself, and, for the
commands beside it, its settings."""

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from portal import clock
from portal.settings import every_setting

INSTANCE = Path("instance")
SECRETS = INSTANCE / "secrets.json"
_SETTINGS = INSTANCE / "settings.json"
# What was signed by a secret lasts no longer than the longest session does.
FORMER_KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class FormerSecrets:
    """Secrets that are still accepted. A portal that runs goes on signing by them until it is
    started again; ``ended_at`` is when that was."""

    jwt_secret: str = field(repr=False)
    secret_key: str = field(repr=False)
    ended_at: str | None = None


@dataclass(frozen=True, slots=True)
class Secrets:
    """What the embedded portal makes for itself on its first run."""

    mongo_password: str = field(repr=False)
    jwt_secret: str = field(repr=False)
    secret_key: str = field(repr=False)
    installation_id: str
    former: tuple[FormerSecrets, ...] = ()


def secrets_at_start() -> Secrets:
    """The secrets for a portal that starts now, made where there are none. Those that were
    replaced while it ran end now; those that ended long enough ago are forgotten."""
    with _alone():
        kept = _read_secrets() or _make_secrets()
        return _written(replace(kept, former=_still_accepted(kept.former)))


def rotate_secrets() -> None:
    """Make a new secret for tokens, and one for forms and links, for the next start. The old ones
    stay accepted. Raises FileNotFoundError where the portal never made any."""
    with _alone():
        old = _read_secrets()
        if old is None:
            raise FileNotFoundError(SECRETS)
        former = FormerSecrets(old.jwt_secret, old.secret_key)
        _written(
            replace(
                old,
                jwt_secret=_random(),
                secret_key=_random(),
                former=(former, *old.former),
            )
        )


def signs_by_own_secrets(jwt_secret: str, secret_key: str) -> bool:
    """Whether a portal that runs with these took them from here, now or before a rotation."""
    own = _read_secrets()
    if own is None:
        return False
    pairs = [(own.jwt_secret, own.secret_key)]
    pairs += [(former.jwt_secret, former.secret_key) for former in own.former]
    return (jwt_secret, secret_key) in pairs


@contextmanager
def settings_left() -> Iterator[None]:
    """While inside, leave this process's settings for commands: for its own user's eyes, as the
    secrets that are there already."""
    names = [setting.name.upper() for setting in every_setting()]
    _write(_SETTINGS, {name: os.environ[name] for name in names if name in os.environ})
    try:
        yield
    finally:
        _SETTINGS.unlink(missing_ok=True)


def read_settings() -> dict[str, str] | None:
    """The settings of the portal that runs, or was killed, in this folder."""
    return _read(_SETTINGS)


def _make_secrets() -> Secrets:
    return Secrets(_random(), _random(), _random(), secrets.token_hex(4))


def _still_accepted(former: tuple[FormerSecrets, ...]) -> tuple[FormerSecrets, ...]:
    now = clock.now()
    ended = [(one, one.ended_at or now.isoformat()) for one in former]
    return tuple(
        replace(one, ended_at=at)
        for one, at in ended
        if datetime.fromisoformat(at) > now - FORMER_KEPT
    )


def _random() -> str:
    return secrets.token_urlsafe(48)


def _read_secrets() -> Secrets | None:
    content = _read(SECRETS)
    if content is None:
        return None
    former = tuple(FormerSecrets(**one) for one in content.pop("former", ()))
    return Secrets(**content, former=former)


def _written(kept: Secrets) -> Secrets:
    if kept != _read_secrets():
        _write(SECRETS, asdict(kept))
    return kept


@contextmanager
def _alone() -> Iterator[None]:
    """Keep a start and a command from writing over each other. The lock is the folder's own: that
    in it is held for as long as the portal runs."""
    folder = os.open(INSTANCE, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None


def _write(path: Path, content: Any) -> None:
    """Write the file whole or not at all, for its own user's eyes."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
