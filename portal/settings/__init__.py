"""All settings: name, type, default, check, one line of use.

Settings come from the environment or from ``.env``. The table in ``docs/settings.md`` and
``.env.example`` are written from here by ``portal/serving/settings_docs.py``.
"""

import io
import os
import re
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, field, fields
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from dotenv import load_dotenv
from environs import Env, EnvValidationError, FileAwareEnv

from portal.settings import checks, key_files
from portal.settings.old_secrets import read_old_secrets

DEFAULT_HMAC = "HS256"
_MASTER_DB, _TENANT_DB = "master_db", "tenant_db"
_HMACS = (DEFAULT_HMAC, "HS384", "HS512")
# Kubernetes gives a pod NAME_PORT=tcp://10.96.0.12:25 for each service of its namespace.
_INJECTED = re.compile(r"(tcp|udp|sctp)://\S+:\d+")
_HEADING = (
    "Settings to correct, in the environment or in .env (see .env.example; with MONGO_URI unset "
    "`make run` starts a MongoDB and creates secrets of its own):"
)
_IN_QUOTES = (
    " It is in quotes, which count: leave them out (Docker’s --env-file takes them as they are)."
)
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")

Loaded = TypeVar("Loaded")
Check = Callable[[dict[str, Any]], list[str]]


class InvalidSettings(Exception):
    """Invalid settings; the message lists every fault."""


class SignUp(StrEnum):
    """The ways to an account that the portal offers."""

    OPEN = "open"
    INVITED = "invited"
    OFF = "off"


def _setting(
    use: str,
    *,
    default: Any = MISSING,
    check: Callable[[Any], None] | None = None,
    secret: bool = False,
) -> Any:
    """A field whose setting has the field's name in capitals."""
    return field(default=default, repr=not secret, metadata={"use": use, "check": check})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of a running portal. Its repr omits secrets."""

    mongo_uri: str = _setting(
        "the replica set, 6.0 or later; unset, `make run` starts a MongoDB of its own",
        check=checks.mongo_uri,
        secret=True,
    )
    master_db: str = _setting(
        "database of organizations, accounts, sessions, audit trail",
        default=_MASTER_DB,
        check=checks.database_name,
    )
    tenant_db: str = _setting(
        "database of the organizations' collections",
        default=_TENANT_DB,
        check=checks.database_name,
    )
    credentials_uri: str = _setting(
        "hosts and options by which customers reach MongoDB, as a connection string without user; "
        "unset, those of MONGO_URI",
        default="",
        check=checks.customers_uri,
    )
    jwt_secret: str = _setting(
        "signs session cookies and bearer tokens; 32 bytes or more; required unless JWT_ALGORITHM "
        "uses a key file",
        default="",
        check=checks.secret,
        secret=True,
    )
    jwt_secret_fallbacks: tuple[str, ...] = _setting(
        "old ones, still accepted; separated by commas",
        default=(),
        check=checks.old_secrets,
        secret=True,
    )
    jwt_algorithm: str = _setting(
        "or HS384, HS512; with a private key file EdDSA (Ed25519) or RS256",
        default=DEFAULT_HMAC,
        check=partial(checks.one_of, (*_HMACS, *key_files.ALGORITHMS)),
    )
    jwt_private_key_file: str = _setting(
        "PEM file of the private key for EdDSA or RS256",
        default="",
        check=checks.private_key_file,
    )
    jwt_public_key_files: tuple[str, ...] = _setting(
        "PEM files of old public keys, still accepted; separated by commas",
        default=(),
        check=partial(checks.each, checks.public_key_file),
    )
    jwt_expires_seconds: int = _setting(
        "how long a bearer token is valid; 30 days at most",
        default=3600,
        check=partial(checks.between, 60, 30 * 24 * 3600),
    )
    secret_key: str = _setting("signs forms; 32 bytes or more", check=checks.secret, secret=True)
    secret_key_fallbacks: tuple[str, ...] = _setting(
        "old ones, still accepted; separated by commas",
        default=(),
        check=checks.old_secrets,
        secret=True,
    )
    public_url: str = _setting(
        "where browsers reach the portal: other hosts are refused; https makes cookies Secure",
        default="http://localhost:8000",
        check=checks.public_url,
    )
    portal_name: str = _setting(
        "the portal's name on pages, in mails, authenticator apps and passkeys; unset, apps and "
        "passkeys show the host of PUBLIC_URL",
        default="",
        check=checks.portal_name,
    )
    trusted_proxies: tuple[str, ...] = _setting(
        "IP addresses or networks of proxies whose X-Forwarded-For is trusted, unix for one that "
        "comes by a UNIX socket; separated by commas",
        default=(),
        check=partial(checks.each, checks.proxy),
    )
    web_concurrency: int = _setting(
        "worker processes, at most one per core",
        default=min(2, checks.CORES),
        check=checks.at_most_a_core_each,
    )
    installation_id: str = _setting(
        "distinguishes the cookies of portals on one host name; set by `make run`", default=""
    )
    rate_limits: bool = _setting("off only for load tests", default=True)
    login_limit_per_email: int = _setting(
        "log-ins per minute and e-mail address as typed", default=10, check=checks.limit
    )
    login_limit_per_network: int = _setting(
        "log-ins per minute and network (IPv4 address, IPv6 /64)",
        default=100,
        check=checks.limit,
    )
    signup_limit: int = _setting(
        "sign-ups and new organizations per minute and network",
        default=30,
        check=checks.limit,
    )
    provisioning_limit: int = _setting(
        "organizations per minute that a provisioning key signs up",
        default=600,
        check=checks.limit,
    )
    signup: str = _setting(
        "who may create an account: open, everybody; invited, by invitations and provisioning keys "
        "only; off, nobody",
        default=SignUp.OPEN.value,
        check=partial(checks.one_of, tuple(SignUp)),
    )
    signup_requires_verification: bool = _setting(
        "on: an organization is created when its owner follows the link that is mailed to them",
        default=False,
    )
    local_email_domains: bool = _setting(
        "off: no e-mail addresses of domains that only a network knows, like corp.local or "
        "localhost",
        default=True,
    )
    password_min_length: int = _setting(
        "characters of a password, 8 or more", default=12, check=partial(checks.between, 8, 128)
    )
    password_min_score: int = _setting(
        "how hard a password is to guess, by zxcvbn from 0 (not asked for) to 4",
        default=3,
        check=partial(checks.between, 0, 4),
    )
    preview_limit: int = _setting(
        "previews of a name or a password's strength per minute and network",
        default=120,
        check=checks.limit,
    )
    rename_limit: int = _setting(
        "renames and restores per minute and organization", default=20, check=checks.limit
    )
    invitation_limit: int = _setting(
        "invitations per minute and organization",
        default=30,
        check=checks.limit,
    )
    document_limit: int = _setting(
        "requests per minute and account or API key to the documents and indexes of organizations",
        default=6000,
        check=checks.limit,
    )
    member_change_limit: int = _setting(
        "promotions to admin, ownership offers and new API keys per minute and organization",
        default=30,
        check=checks.limit,
    )
    recovery_limit_per_email: int = _setting(
        "requests for a new password per minute and e-mail address, known or not",
        default=3,
        check=checks.limit,
    )
    recovery_limit_per_network: int = _setting(
        "requests for a new password per minute and network",
        default=30,
        check=checks.limit,
    )
    address_mail_limit: int = _setting(
        "mails per minute to verify or change an account's address; invitations of an address",
        default=3,
        check=checks.limit,
    )
    second_factor_limit: int = _setting(
        "codes and confirmations per minute and account", default=10, check=checks.limit
    )
    trash_days: int = _setting(
        "days a deleted organization is kept",
        default=30,
        check=partial(checks.between, 1, checks.LONGEST_DAYS),
    )
    way_back_days: int = _setting(
        "days an organization that was moved can go back, with all that was written since",
        default=7,
        check=partial(checks.between, 1, checks.LONGEST_WAY_BACK_DAYS),
    )
    old_slug_days: int = _setting(
        "days an old slug is reserved for its organization",
        default=30,
        check=partial(checks.between, 0, checks.LONGEST_DAYS),
    )

    mail_server: str = _setting(
        "SMTP server that sends mails; unset, they are stored as files in MAIL_DIRECTORY",
        default="",
        check=checks.mail_server,
    )
    mail_port: int = _setting("its port", default=587, check=partial(checks.between, 1, 65535))
    mail_security: str = _setting(
        "starttls, tls, or none",
        default="starttls",
        check=partial(checks.one_of, ("starttls", "tls", "none")),
    )
    mail_ca_file: str = _setting(
        "PEM file of the CA that signed its certificate; unset, those that the system trusts",
        default="",
        check=checks.ca_file,
    )
    mail_username: str = _setting(
        "user of MAIL_SERVER; unset, no authentication", default="", check=checks.mail_credential
    )
    mail_password: str = _setting(
        "password of MAIL_USERNAME", default="", secret=True, check=checks.mail_credential
    )
    mail_from: str = _setting(
        "sender of mails; unset, portal@ and the host of PUBLIC_URL",
        default="",
        check=checks.mail_from,
    )
    mail_directory: str = _setting(
        "where mails are stored without a server", default="instance/mail"
    )

    @property
    def sender(self) -> str:
        """The sender of mails."""
        return checks.mailbox(self.mail_from or f"{self.name} <portal@{self.mail_domain}>")

    @property
    def name(self) -> str:
        """The portal's name on pages and in mails."""
        return self.portal_name or "Portal"

    @property
    def issuer(self) -> str:
        """The portal's name among others, in authenticator apps and beside passkeys."""
        # An issuer has no colon, and an IPv6 address has.
        return self.portal_name or (urlsplit(self.public_url).hostname or "").replace(":", "-")

    @property
    def mail_domain(self) -> str:
        """The domain of the default sender and of message ids."""
        return urlsplit(self.public_url).hostname or "localhost"

    @property
    def mail_greeting(self) -> str:
        """The name by which the portal greets a mail server, in ASCII; empty where ``public_url``
        has none that others know."""
        return checks.greeting(urlsplit(self.public_url).hostname or "")

    @property
    def weak_password_rules(self) -> list[str]:
        """The password rules below their defaults, as the environment names them."""
        defaults = {setting.name: setting.default for setting in fields(self)}
        rules = ("password_min_length", "password_min_score")
        return [f"{r.upper()}={getattr(self, r)}" for r in rules if getattr(self, r) < defaults[r]]

    @property
    def https(self) -> bool:
        """Tell whether browsers reach the portal by HTTPS, so that cookies can be ``Secure``."""
        return urlsplit(self.public_url).scheme == "https"

    @property
    def origin(self) -> str:
        """``public_url`` as browsers send it: lowercase, without a default port."""
        default_port = ":443" if self.https else ":80"
        return self.public_url.lower().removesuffix(default_port)

    @property
    def passkey_host(self) -> str:
        """The host that passkeys are bound to, whatever a request's headers say."""
        return urlsplit(self.public_url).hostname or ""

    @property
    def public_host(self) -> str:
        """Host and port as in a ``Host`` header."""
        return urlsplit(self.public_url).netloc

    @property
    def local(self) -> bool:
        """Tell whether the portal serves only browsers on this machine."""
        return urlsplit(self.public_url).hostname in _LOOPBACK_NAMES


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorSettings:
    """The settings of ``make run`` itself; without ``mongo_uri`` it starts a MongoDB."""

    mongo_uri: str = _setting("", default="", secret=True)
    master_db: str = _setting("", default=_MASTER_DB, check=checks.database_name)
    tenant_db: str = _setting("", default=_TENANT_DB, check=checks.database_name)
    bind: str = _setting(
        "IP address to listen on", default="127.0.0.1", check=checks.listening_address
    )
    port: int = _setting(
        "0 selects the first free port from 8000",
        default=0,
        check=partial(checks.between, 0, 65535),
    )


_active: list[Settings] = []


def activate(settings: Settings) -> None:
    """Set this process's settings: one per process, like MongoEngine's connection."""
    _active[:] = [settings]


def current() -> Settings:
    """The settings of this process. Raises IndexError before ``create_app``."""
    return _active[0]


def load() -> Settings:
    """Read the environment and ``.env``. Raises InvalidSettings with all faults."""
    return _load(Settings, _check_together)


def load_supervisor() -> SupervisorSettings:
    """Read the supervisor's settings likewise. Raises InvalidSettings."""
    return _load(SupervisorSettings)


def every_setting() -> list[Field]:
    """The fields of all settings, with ``use`` and ``check`` as metadata."""
    own = {setting.name for setting in fields(Settings)}
    return [*fields(Settings), *(s for s in fields(SupervisorSettings) if s.name not in own)]


def environment_names() -> list[str]:
    """The names by which the environment may give settings: each is that of a file, too."""
    names = [setting.name.upper() for setting in every_setting()]
    return [*names, *(f"{name}_FILE" for name in names)]


def is_given(name: str) -> bool:
    """Tell whether the environment gives the setting ``name``, in itself or in a file."""
    return bool(os.environ.get(name) or os.environ.get(f"{name}_FILE"))


def _load(kind: type[Loaded], check_together: Check = lambda values: []) -> Loaded:
    _drop_injected()
    env = FileAwareEnv(eager=False, strip_whitespace=True)
    faults = _read_dotenv() or _faults_of_files()
    if not faults:
        values = {setting.name: _read(env, setting) for setting in fields(kind)}  # type: ignore[arg-type]
        faults = [*_faults_of(env), *check_together(values)]
    if faults:
        raise InvalidSettings("\n".join([_HEADING, *faults]))
    return kind(**values)


def _read_dotenv() -> list[str]:
    """Read ``.env``, where there is one; its faults."""
    path = Path(".env")
    try:
        # Editors of Windows begin a file with a mark that would belong to the first name.
        text = path.read_text(encoding="utf-8-sig") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        return [f".env: it must be a file of text in UTF-8, and can't be read: {error}."]
    load_dotenv(stream=io.StringIO(text))
    return []


def _drop_injected() -> None:
    """Drop values that are none: those of Kubernetes, and numbers left empty."""
    for setting in every_setting():
        name = setting.name.upper()
        value = os.environ.get(name)
        unset = value == "" and setting.type is not str and setting.default is not MISSING
        if value is not None and (unset or _INJECTED.fullmatch(value)):
            del os.environ[name]


def _faults_of_files() -> list[str]:
    """Faults in how secrets are given by files."""
    faults = []
    for name in (setting.name.upper() for setting in every_setting()):
        path = os.environ.get(f"{name}_FILE")
        if path and os.environ.get(name):
            faults.append(f"{name} and {name}_FILE: set one of them.")
        elif path:
            try:
                Path(path).read_text()
            except (OSError, UnicodeDecodeError) as error:
                faults.append(f"{name}_FILE: {path} can't be read: {error}.")
    return faults


def _faults_of(env: Env) -> list[str]:
    try:
        env.seal()
    except EnvValidationError as error:
        messages = cast(dict[str, list[str]], error.error_messages)
        return [
            f"{name}: {' '.join(map(str, faults))}{_IN_QUOTES if _is_in_quotes(name) else ''}"
            for name, faults in messages.items()
        ]
    return []


def _is_in_quotes(name: str) -> bool:
    value = os.environ.get(name, "")
    return len(value) > 1 and value[0] == value[-1] and value[0] in "'\""


_SAME_DATABASES = (
    "MASTER_DB and TENANT_DB: name two different databases. Those called like TENANT_DB with "
    "_internal or _reports behind it are the portal's, too."
)


def _check_together(values: dict[str, Any]) -> list[str]:
    """Faults in the combination of settings; one with a fault of its own is ``None``."""
    master, tenant = values["master_db"] or "", values["tenant_db"] or ""
    taken = {tenant, f"{tenant}_internal", f"{tenant}_reports"}
    same = tenant and master.casefold() in {name.casefold() for name in taken}
    faults = [_SAME_DATABASES] if same else []
    faults += _faults_of_mail(values)
    if values["jwt_algorithm"] in key_files.ALGORITHMS:
        return faults + _faults_of_private_key(
            values["jwt_algorithm"], values["jwt_private_key_file"]
        )
    if values["jwt_secret"] == "":
        faults.append("JWT_SECRET: not set.")
    if values["jwt_private_key_file"] and values["jwt_algorithm"]:
        faults.append(f"JWT_PRIVATE_KEY_FILE: {values['jwt_algorithm']} signs with JWT_SECRET.")
    return faults


def _faults_of_mail(values: dict[str, Any]) -> list[str]:
    faults = []
    server, directory = values["mail_server"], values["mail_directory"]
    if server == "" and directory and not checks.can_be_written(directory):
        faults.append(
            f"MAIL_SERVER: not set, and mails can't be stored in MAIL_DIRECTORY ({directory}) "
            "either, so nobody could verify an address. Name a mail server, or a folder that can "
            "be written to, like a volume."
        )
    if bool(values["mail_username"]) != bool(values["mail_password"]):
        faults.append("MAIL_USERNAME and MAIL_PASSWORD: set both, or neither.")
    if values["mail_port"] == checks.IMPLICIT_TLS_PORT and values["mail_security"] == "starttls":
        faults.append("MAIL_PORT: 465 takes no STARTTLS; set MAIL_SECURITY to tls.")
    if server and values["mail_from"] == "" and checks.is_ip_url(values["public_url"]):
        faults.append("MAIL_FROM: not set, and PUBLIC_URL has no host name for the sender.")
    return faults


def _faults_of_private_key(algorithm: str, path: str | None) -> list[str]:
    if path is None:
        return []
    if not path:
        return [f"JWT_PRIVATE_KEY_FILE: not set; {algorithm} signs with the private key in it."]
    actual = key_files.algorithm_of(key_files.read_private_key(path).public_key())
    fault = f"JWT_PRIVATE_KEY_FILE: the key in it is one for {actual}, not for {algorithm}."
    return [fault] if actual != algorithm else []


def _read(env: Env, setting: Field) -> Any:
    name, check = setting.name.upper(), setting.metadata["check"]
    given = {} if setting.default is MISSING else {"default": setting.default}
    if setting.type is int:
        return env.int(name, validate=check, **given)
    if setting.type is bool:
        return env.bool(name, validate=check, **given)
    if setting.type is str:
        return env.str(name, validate=check, **given)
    if not setting.repr:
        return read_old_secrets(env.str(name, validate=check, default="") or "")
    return tuple(env.list(name, subcast=str.strip, validate=check, **given) or ())
