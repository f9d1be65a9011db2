"""Checks of settings by what will be done with them: connecting, mailing, being reached."""

import os
import re
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.utils import formataddr
from ipaddress import IPv6Address, ip_address, ip_network
from pathlib import Path
from urllib.parse import urlsplit

import idna
from environs import ValidationError
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from portal.settings import key_files
from portal.settings.key_files import UnsuitableKey

SHORTEST_SECRET_BYTES = 32
CORES = os.cpu_count() or 1
# Later days and higher counts fit neither dates nor what MongoDB counts in.
LONGEST_DAYS = 100 * 365
LONGEST_WAY_BACK_DAYS = 30
HIGHEST_LIMIT = 1_000_000
UNIX_SOCKET = "unix"
_DATABASE_NAME = re.compile(r"[A-Za-z0-9_-]{1,38}")
_SYSTEM_DATABASES = ("admin", "local", "config")
_LONGEST_NAME = 60
IMPLICIT_TLS_PORT = 465
# In a connection string's user name and password (RFC 3986, section 3.2.1).
_ESCAPED = r"(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*"
_CREDENTIALS = re.compile(f"{_ESCAPED}(?::{_ESCAPED})?")
_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9_.-]+(?<![.-])")
# Browsers take a host that ends so for an IPv4 address, be it in octal or with parts left out.
_NUMBERED = re.compile(r"(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)$")
_QUOTED_NAME = re.compile(r'"((?:[^"\\]|\\.)*)"')
_NAMED_ADDRESS = re.compile(r"(?P<name>[^<>]*)<(?P<address>[^<>]+)>")


def database_name(value: str) -> None:
    """Accept a name that no system database has."""
    if not _DATABASE_NAME.fullmatch(value) or value.casefold() in _SYSTEM_DATABASES:
        raise ValidationError(
            "must be 1 to 38 letters, digits, - or _, and none of admin, local, config."
        )


def secret(value: str) -> None:
    """Accept what is long enough to sign with."""
    if len(value.encode()) < SHORTEST_SECRET_BYTES:
        raise ValidationError(
            f"must be {SHORTEST_SECRET_BYTES} bytes or more; "
            "generate one: python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"
        )


def old_secrets(listed: str) -> None:
    """Accept a list of such secrets, which may be empty."""
    if listed:
        secret(listed)


def private_key_file(path: str) -> None:
    """Accept no file, or one with a private key for JWT."""
    try:
        if path:
            key_files.read_private_key(path)
    except UnsuitableKey as error:
        raise ValidationError(str(error)) from error


def public_key_file(path: str) -> None:
    """Accept a file with a public key for JWT."""
    try:
        key_files.read_public_key(path)
    except UnsuitableKey as error:
        raise ValidationError(str(error)) from error


def portal_name(value: str) -> None:
    """Accept a name for pages, senders and authenticator apps."""
    # A colon ends the issuer in an authenticator app's URI, and angle brackets end a sender's name.
    forbidden = not value.isprintable() or value != value.strip() or any(c in value for c in ":<>")
    if forbidden or len(value) > _LONGEST_NAME:
        raise ValidationError(
            f"must be up to {_LONGEST_NAME} visible characters, without : < > and outer spaces."
        )


def listening_address(value: str) -> None:
    """Accept an IP address."""
    try:
        ip_address(value)
    except ValueError as error:
        raise ValidationError("must be an IP address, like 127.0.0.1 or 0.0.0.0.") from error


def each(check: Callable[[str], None], values: list[str]) -> None:
    """Accept values that ``check`` accepts one by one."""
    for value in values:
        check(value)


def one_of(allowed: tuple[str, ...], value: str) -> None:
    """Accept one of ``allowed``."""
    if value not in allowed:
        raise ValidationError(f"must be one of {', '.join(allowed)}.")


def at_most_a_core_each(workers: int) -> None:
    """Accept as many workers as there are cores, or fewer."""
    # Each worker hashes up to one password at a time, and no more may run than there are cores.
    if not 1 <= workers <= CORES:
        raise ValidationError(f"must be 1 or more, and at most one for each of {CORES} cores.")


def between(least: int, most: int, value: int) -> None:
    """Accept ``least`` to ``most``."""
    if not least <= value <= most:
        raise ValidationError(f"must be {least} to {most}.")


def limit(value: int) -> None:
    """Accept a limit that MongoDB can count to."""
    between(1, HIGHEST_LIMIT, value)


# With any of these in the URI each write in a transaction fails with code 72 or similar
# ("writeConcern is not allowed within a multi-statement transaction"). The portal sets its
# concerns itself, and repeats what a failover broke off.
_OVERRIDDEN_OPTIONS = re.compile(
    r"w|j|journal|fsync|wtimeout(ms)?|readconcernlevel|readpreference.*|maxstalenessseconds|"
    r"retryreads|retrywrites",
    re.I,
)


def portable_uri(uri: str) -> str:
    """The connection string without what the portal sets itself: concerns, preferences, retries."""
    before, mark, query = uri.partition("?")
    options = (one for one in re.split("[&;]", query) if one)
    kept = [one for one in options if not _OVERRIDDEN_OPTIONS.fullmatch(one.partition("=")[0])]
    return before + mark + "&".join(kept)


def mongo_uri(value: str) -> None:
    """Accept what the driver can read, without asking DNS or the server. The fault repeats no
    piece of a password."""
    if not value.startswith(("mongodb://", "mongodb+srv://")):
        raise ValidationError("must name a replica set by mongodb:// or mongodb+srv://.")
    try:
        MongoClient(portable_uri(value), connect=False).close()
    except (PyMongoError, ValueError, OSError) as error:
        raise ValidationError(_fault_of_uri(value, error)) from error


def customers_uri(value: str) -> None:
    """Accept what the driver can read, without a user: each credential has its own."""
    if not value:
        return
    mongo_uri(value)
    if "@" in value:
        raise ValidationError("must have no user: each credential has its own.")


def public_url(value: str) -> None:
    """Accept a scheme and host, with or without a port, as browsers send them."""
    malformed = ValidationError(
        "must be like https://portal.example, without a path or trailing slash."
    )
    try:
        parts = urlsplit(value)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise malformed from error
    bare = f"{parts.scheme}://{parts.netloc}".casefold() == value.casefold()
    if parts.scheme not in ("http", "https") or not bare or "@" in parts.netloc:
        raise malformed
    host = _as_browsers_send(host)
    if not _is_host(host) or "%" in host:
        raise malformed
    sent = (f"[{host}]" if ":" in host else host) + ("" if port is None else f":{port}")
    if parts.netloc.lower() != sent:
        raise ValidationError(f"browsers send it as {parts.scheme}://{sent}: write it so.")


def mail_server(value: str) -> None:
    """Accept a host without scheme or port."""
    if value and not _is_host(value):
        raise ValidationError(
            "must be a host name or IP address alone, like mail.example; "
            "the port is MAIL_PORT, encryption MAIL_SECURITY."
        )


def mail_from(value: str) -> None:
    """Accept a sender that every mail server takes."""
    if value:
        mailbox(value)


def mailbox(value: str) -> str:
    """``value``, an address with or without a name before it, with the name quoted where it has
    to be. Raises ValidationError."""
    named = _NAMED_ADDRESS.fullmatch(value.strip())
    name, address = (named["name"], named["address"]) if named else ("", value)
    name = name.strip()
    if quoted := _QUOTED_NAME.fullmatch(name):
        name = re.sub(r"\\(.)", r"\1", quoted[1])
    address = _with_ascii_domain(address.strip())
    if not address.isascii():
        raise ValidationError("must be an e-mail address of ASCII characters.")
    try:
        parsed = Address(addr_spec=address)
    except (HeaderParseError, ValueError, IndexError):
        parsed = Address()
    if not parsed.domain or not name.isprintable():
        raise ValidationError("must be one e-mail address, like Portal <portal@acme.example>.")
    return formataddr((name, address))


def mail_credential(value: str) -> None:
    """Accept what ``smtplib`` can send."""
    if not value.isascii() or not value.isprintable():
        raise ValidationError("must be of ASCII characters: mail servers take no others.")


def ca_file(path: str) -> None:
    """Accept a file with certificates."""
    try:
        if path:
            ssl.create_default_context(cafile=path)
    except OSError as error:  # ssl.SSLError, too
        raise ValidationError(f"{path} holds no certificates in PEM: {error}.") from error


def proxy(value: str) -> None:
    """Accept an IP address, a network, or ``unix``."""
    try:
        if value != UNIX_SOCKET:
            ip_network(value)
    except ValueError as error:
        raise ValidationError(
            "must be IP addresses or networks, like 10.0.0.7 or 10.0.0.0/8, or unix for a proxy "
            "that comes by a UNIX socket, separated by commas."
        ) from error


def is_ip_url(url: str | None) -> bool:
    """Tell whether the URL's host is an IP address; ``None`` is a URL with a fault of its own."""
    return _is_ip(urlsplit(url or "").hostname or "")


def greeting(host: str) -> str:
    """The host as a mail server is greeted by it (RFC 5321, 4.1.3); empty for a name without a
    domain."""
    if not _is_ip(host):
        return host if "." in host else ""
    return f"[{host}]" if ip_address(host).version == 4 else f"[IPv6:{host}]"


def can_be_written(directory: str) -> bool:
    """Tell whether this process may create files in ``directory``, or create it."""
    path = Path(directory).absolute()
    while not path.exists():
        path = path.parent
    return path.is_dir() and os.access(path, os.W_OK | os.X_OK)


def _fault_of_uri(uri: str, error: Exception) -> str:
    """The driver's reason, except where that would repeat a piece of the password."""
    credentials, at, _ = uri.partition("://")[2].rpartition("@")
    if at and not _CREDENTIALS.fullmatch(credentials):
        return (
            "the user name or password has a character that must be percent-encoded, for instance "
            "@ as %40, : as %3A, / as %2F, % as %25."
        )
    return f"the driver can't read it: {error}."


def _as_browsers_send(host: str) -> str:
    """The host as the URL standard writes it: in ASCII, IP addresses in one form each; empty for
    numbers that are none."""
    if not host.isascii():
        return _as_ascii(host)
    with suppress(ValueError):
        return IPv6Address(host).compressed
    if not _NUMBERED.search(host):
        return host
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return ""


def _is_host(text: str) -> bool:
    return _is_ip(text) or _HOST_NAME.fullmatch(text) is not None


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _with_ascii_domain(address: str) -> str:
    local, at, domain = address.rpartition("@")
    return local + at + (domain if domain.isascii() else _as_ascii(domain))


def _as_ascii(domain: str) -> str:
    try:
        return idna.encode(domain, uts46=True).decode()
    except idna.IDNAError as error:
        raise ValidationError(f"{domain} is no host name.") from error
