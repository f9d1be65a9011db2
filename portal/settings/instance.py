"""The files of an embedded portal in ``instance/``: its generated secrets and, for commands, the
settings of the running portal."""

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
from portal.settings import environment_names

SHOWS_FIRST_LINK = "PORTAL_SHOWS_FIRST_LINK"
"""Set for workers of ``make run``: they print the link for the first operator."""
INSTANCE = Path("instance")
SECRETS = INSTANCE / "secrets.json"
_SETTINGS = INSTANCE / "settings.json"
ADMINISTRATOR = "admin"
"""The MongoDB user that looks after an embedded server, not the portal's."""
ADMINISTRATOR_FILE = "mongod.admin"
"""The file with that user's password, beside the data."""
_PORT = INSTANCE / "mongod.port"
# As long as the longest session, which outlasts everything else that is signed.
FORMER_KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class FormerSecrets:
    """Rotated secrets that are still accepted. A running portal signs with them until its restart
    at ``ended_at``."""

    jwt_secret: str = field(repr=False)
    secret_key: str = field(repr=False)
    ended_at: str | None = None


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secrets that an embedded portal generates on its first run."""

    mongo_password: str = field(repr=False)
    jwt_secret: str = field(repr=False)
    secret_key: str = field(repr=False)
    installation_id: str
    former: tuple[FormerSecrets, ...] = ()


def secrets_at_start() -> Secrets:
    """The secrets for a portal that starts now, generated on the first run. Secrets rotated since
    the last start end now; those that ended more than FORMER_KEPT ago are deleted."""
    with _locked():
        stored = _read_secrets() or _generate_secrets()
        return _written(replace(stored, former=_still_accepted(stored.former)))


def rotate_secrets() -> None:
    """Generate new secrets, for the next start. The old ones stay accepted. Raises
    FileNotFoundError where there are none."""
    with _locked():
        old = _read_secrets()
        if old is None:
            raise FileNotFoundError(SECRETS)
        former = FormerSecrets(old.jwt_secret, old.secret_key)
        former_secrets = (former, *old.former)
        _written(replace(old, jwt_secret=_random(), secret_key=_random(), former=former_secrets))


def signs_by_own_secrets(jwt_secret: str, secret_key: str) -> bool:
    """Tell whether these are the secrets stored here, or were before a rotation."""
    own = _read_secrets()
    if own is None:
        return False
    pairs = [(own.jwt_secret, own.secret_key)]
    pairs += [(former.jwt_secret, former.secret_key) for former in own.former]
    return (jwt_secret, secret_key) in pairs


@contextmanager
def shared_settings() -> Iterator[None]:
    """Store this process's settings for commands, while inside; readable only by its user, like the
    secrets."""
    given = {name: os.environ[name] for name in environment_names() if name in os.environ}
    _write(_SETTINGS, given)
    try:
        yield
    finally:
        _SETTINGS.unlink(missing_ok=True)


def read_settings() -> dict[str, str] | None:
    """The settings of the portal that runs in this folder, or was killed."""
    return _read(_SETTINGS)


def read_administrator_password() -> str | None:
    """The password of ADMINISTRATOR on the embedded server in this folder."""
    try:
        return (INSTANCE / ADMINISTRATOR_FILE).read_text()
    except FileNotFoundError:
        return None


def read_port() -> int | None:
    """The port that the embedded MongoDB had last: credentials have it in their connection
    strings."""
    return _read(_PORT)


def write_port(port: int) -> None:
    """Keep the port for the next start."""
    if port != read_port():
        _write(_PORT, port)


def _generate_secrets() -> Secrets:
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


def _written(stored: Secrets) -> Secrets:
    if stored != _read_secrets():
        _write(SECRETS, asdict(stored))
    return stored


@contextmanager
def _locked() -> Iterator[None]:
    """Keep a start and a command from overwriting each other's changes. This locks the folder
    itself: the lock file in it is held as long as the portal runs."""
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
    """Write the file atomically, readable only by its user."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
