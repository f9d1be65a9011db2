"""Every setting of the portal: name, type, default, check.

Settings come from the environment or from ``.env``; ``.env.example`` lists them all.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address
from typing import cast
from urllib.parse import urlsplit

from environs import Env, EnvValidationError, ValidationError

SHORTEST_SECRET_BYTES = 32
_DATABASE_NAME = re.compile(r"[A-Za-z0-9_-]{1,38}")
_CORES = os.cpu_count() or 1
_HEADING = (
    "Settings to correct, in the environment or in .env (see .env.example; with MONGO_URI unset "
    "`make run` brings a MongoDB and secrets of its own):"
)
_SYSTEM_DATABASES = ("admin", "local", "config")


class InvalidSettings(Exception):
    """Settings that the portal can't start with; the message names every fault."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one running portal. Secrets stay out of its repr."""

    mongo_uri: str = field(repr=False)
    master_db: str
    tenant_db: str
    jwt_secret: str = field(repr=False)
    jwt_secret_fallbacks: tuple[str, ...] = field(repr=False)
    jwt_algorithm: str
    secret_key: str = field(repr=False)
    secret_key_fallbacks: tuple[str, ...] = field(repr=False)
    public_url: str
    installation_id: str
    web_concurrency: int
    trash_days: int
    old_slug_days: int

    @property
    def https(self) -> bool:
        """Whether browsers reach the portal by HTTPS, so that cookies may be ``Secure``."""
        return urlsplit(self.public_url).scheme == "https"


_active: list[Settings] = []


def activate(settings: Settings) -> None:
    """Make ``settings`` those of this process; MongoEngine's connection is one per process too."""
    _active[:] = [settings]


def current() -> Settings:
    """The settings of this process. Raises IndexError before ``create_app``."""
    return _active[0]


@dataclass(frozen=True, slots=True)
class SupervisorSettings:
    """What ``make run`` itself needs to know."""

    mongo_uri: str = field(repr=False)
    bind: str
    port: int


def load_supervisor() -> SupervisorSettings:
    """Read the environment and ``.env``. Raises InvalidSettings."""
    env = _environment()
    asked = SupervisorSettings(
        mongo_uri=env.str("MONGO_URI", ""),
        bind=env.str("BIND", "127.0.0.1", validate=_address),
        port=env.int("PORT", 0, validate=_port),
    )
    _seal(env)
    return asked


def load() -> Settings:
    """Read the environment and ``.env``. Raises InvalidSettings naming all faults at once."""
    env = _environment()
    settings = Settings(
        mongo_uri=env.str("MONGO_URI", validate=_mongo_uri),
        master_db=env.str("MASTER_DB", "master_db", validate=_database_name),
        tenant_db=env.str("TENANT_DB", "tenant_db", validate=_database_name),
        jwt_secret=env.str("JWT_SECRET", validate=_secret),
        jwt_secret_fallbacks=tuple(env.list("JWT_SECRET_FALLBACKS", [], validate=_secrets) or ()),
        jwt_algorithm=env.str(
            "JWT_ALGORITHM", "HS256", validate=_one_of("HS256", "HS384", "HS512")
        ),
        secret_key=env.str("SECRET_KEY", validate=_secret),
        secret_key_fallbacks=tuple(env.list("SECRET_KEY_FALLBACKS", [], validate=_secrets) or ()),
        public_url=env.str("PUBLIC_URL", "http://localhost:8000", validate=_url),
        installation_id=env.str("INSTALLATION_ID", ""),
        web_concurrency=env.int("WEB_CONCURRENCY", min(2, _CORES), validate=_at_most_a_core_each),
        trash_days=env.int("TRASH_DAYS", 30, validate=_at_least(1)),
        old_slug_days=env.int("OLD_SLUG_DAYS", 30, validate=_at_least(0)),
    )
    _seal(env)
    if settings.master_db.casefold() == settings.tenant_db.casefold():
        raise InvalidSettings("MASTER_DB and TENANT_DB: name two different databases.")
    return settings


def _environment() -> Env:
    env = Env(eager=False)
    env.read_env(".env", recurse=False)
    return env


def _seal(env: Env) -> None:
    try:
        env.seal()
    except EnvValidationError as error:
        messages = cast(dict[str, list[str]], error.error_messages)
        faults = [f"{name}: {' '.join(map(str, told))}" for name, told in messages.items()]
        raise InvalidSettings("\n".join([_HEADING, *faults])) from None


def _mongo_uri(value: str) -> None:
    if not value.startswith(("mongodb://", "mongodb+srv://")):
        raise ValidationError("must name a replica set by mongodb:// or mongodb+srv://.")


def _database_name(value: str) -> None:
    if not _DATABASE_NAME.fullmatch(value) or value.casefold() in _SYSTEM_DATABASES:
        raise ValidationError(
            "must be 1 to 38 letters, digits, - or _, and none of admin, local, config."
        )


def _secret(value: str) -> None:
    if len(value.encode()) < SHORTEST_SECRET_BYTES:
        raise ValidationError(
            f"must be {SHORTEST_SECRET_BYTES} bytes or more; "
            "make one with: python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"
        )


def _secrets(values: list[str]) -> None:
    for value in values:
        _secret(value)


def _url(value: str) -> None:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path:
        raise ValidationError(
            "must be like https://portal.example, without a path or a slash at its end."
        )


def _address(value: str) -> None:
    try:
        ip_address(value)
    except ValueError as error:
        raise ValidationError("must be an IP address, like 127.0.0.1 or 0.0.0.0.") from error


def _port(value: int) -> None:
    if not 0 <= value <= 65535:
        raise ValidationError("must be a port, 1 to 65535.")


def _one_of(*allowed: str) -> Callable[[str], None]:
    return partial(_must_be_one_of, allowed)


def _must_be_one_of(allowed: tuple[str, ...], value: str) -> None:
    if value not in allowed:
        raise ValidationError(f"must be one of {', '.join(allowed)}.")


def _at_most_a_core_each(workers: int) -> None:
    # Each worker hashes at least one password at a time, and no more may run than there are cores.
    if not 1 <= workers <= _CORES:
        raise ValidationError(f"must be 1 or more, and at most one for each of {_CORES} cores.")


def _at_least(least: int) -> Callable[[int], None]:
    return partial(_must_be_at_least, least)


def _must_be_at_least(least: int, value: int) -> None:
    if value < least:
        raise ValidationError(f"must be {least} or more.")
