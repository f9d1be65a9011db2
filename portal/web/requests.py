"""The current request: early checks, id, time limit, client address, query, line in the log."""

import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any
from urllib.parse import quote

import pymongo
import structlog
from flask import Flask, Response, current_app, g, request
from flask_login import current_user
from structlog.contextvars import bound_contextvars
from werkzeug.exceptions import HTTPException

from portal.database import clusters
from portal.settings import Settings
from portal.settings.checks import UNIX_SOCKET
from portal.web import bodies, traffic
from portal.web.acting_operator import WsgiApp, contained
from portal.web.context import AuditActor, IdempotencyKey, RequestContext
from portal.web.errors import InvalidInput, WrongHost
from portal.web.idempotency import SYNTAX
from portal.web.rate_limits import network_of

REQUEST_SECONDS = 4
SAFE = ("GET", "HEAD", "OPTIONS")
# Load balancers and containers request these by IP address, and while MongoDB is unavailable.
HEALTH = ("home.alive", "home.ready")

_API_ROOTS = ("org", "auth", "admin")
_ID = "portal.request_id"
_HOST_REFUSED = "portal.host_refused"
_SIGNED = re.compile(r"(?<![\w-])[\w-]+\.[\w-]+\.[\w-]{40,}")
# 203.0.113.9:51234, [2001:db8::7] or [2001:db8::7]:4711
_WITH_PORT = re.compile(r"^(?:\[([0-9A-Fa-f:.]+)\]|(\d+(?:\.\d+){3}))(?::\d{1,5})?$")
_LOOPBACK = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?", re.I)

KeyMaker = Callable[[str, str, str, str, bytes], IdempotencyKey]
Network = IPv4Network | IPv6Network

log = structlog.get_logger()


def init_app(app: Flask, settings: Settings) -> None:
    """Give each request an id, a time limit for MongoDB, a size limit, and a line in the log;
    reject other hosts, and bodies of other media types."""
    app.config["MAX_CONTENT_LENGTH"] = bodies.SMALL_BYTES
    app.wsgi_app = _wrapped(contained(app.wsgi_app), settings)  # type: ignore[method-assign, assignment]
    app.before_request(_begin)
    app.before_request(_check_body)
    app.after_request(_end)


def is_api() -> bool:
    """Tell whether this is the API: it responds with JSON, and takes bearer tokens only."""
    return request.path.split("/")[1] in _API_ROOTS


def request_context() -> RequestContext:
    """The context of the current request, for services."""
    actor = current_user.audit_actor if current_user.is_authenticated else AuditActor()
    return RequestContext(
        actor=actor,
        ip_address=request.remote_addr,
        request_id=g.request_id,
        browser_id=g.get("browser"),
        idempotency_key=idempotency_key(),
    )


def take_idempotency_key(
    typed: str, field: str, make: KeyMaker, *, anonymous: bool = False
) -> None:
    """Store the idempotency key sent in ``field`` on the request. Its scope is the principal, or
    the network where there is none or the request counts as ``anonymous``. Raises InvalidInput for
    a malformed key."""
    if not SYNTAX.fullmatch(typed):
        raise InvalidInput.malformed_idempotency_key(field)
    by_principal = not anonymous and current_user.is_authenticated
    scope = current_user.idempotency_scope if by_principal else network_of(request.remote_addr)
    content = request.query_string + b"\n" + request.get_data()
    g.idempotency_key = make(typed, scope, request.method, request.path, content)


def idempotency_key() -> IdempotencyKey | None:
    """The idempotency key of the current request."""
    return g.get("idempotency_key")


def path_for_log() -> str:
    """The path, without the token of a mailed link, which grants access."""
    return _SIGNED.sub("…", request.path)


def user_agent() -> str:
    """The ``User-Agent``, without unprintable characters."""
    return "".join(c for c in request.headers.get("User-Agent", "") if c.isprintable())


def sort_key_argument(name: str, pattern: re.Pattern[str]) -> str | None:
    """The sort key of a row; ``None`` for anything that can't be one."""
    value = request.args.get(name, "")
    return value if pattern.fullmatch(value) else None


def number_argument(name: str, highest: int) -> int | None:
    """A number from 0 to ``highest``; ``None`` for anything else."""
    value = request.args.get(name, type=int)
    return value if value is not None and 0 <= value <= highest else None


def choice_argument(name: str, choices: tuple[str, ...]) -> str:
    """One of the ``choices``; the first for anything else."""
    value = request.args.get(name)
    return value if value in choices else choices[0]


def same_site_path(target: str, otherwise: str) -> str:
    r"""``target`` if it is a path within the site, else ``otherwise``. Browsers read ``//host``,
    ``/\host`` and control characters in between as another site."""
    plain = target.startswith("/") and target.isprintable() and "\\" not in target
    return target if plain and not target.startswith("//") else otherwise


def answers_get(path: str) -> bool:
    """Tell whether there is something to read at this path."""
    try:
        current_app.url_map.bind("").match(path, "GET")
    except HTTPException:
        return False
    return True


def page_above() -> tuple[str, Mapping[str, Any]] | None:
    """The endpoint, with its values, of the nearest path above this one where there is something to
    read."""
    above, adapter = request.path, current_app.url_map.bind("")
    while above := above.rpartition("/")[0]:
        with suppress(HTTPException):
            return adapter.match(above, "GET")
    return None


def path_without_slashes_too_many() -> str | None:
    """The path that was meant by one with a slash at its end, or two in a row, with its query;
    ``None`` where there is nothing, or something is to be changed there."""
    meant = "/" + "/".join(filter(None, request.path.split("/")))
    if meant == request.path or request.method not in ("GET", "HEAD") or not answers_get(meant):
        return None
    query = request.query_string.decode("latin-1")
    return f"{quote(meant)}?{query}" if query else quote(meant)


def client_ip(
    peer: str, forwarded: str, trusted: list[Network], *, unix_trusted: bool = False
) -> str:
    """The client's IP address: the last hop that is no trusted proxy. IPv4-mapped IPv6, as seen by
    a dual-stack listener, becomes IPv4.

    ``forwarded`` is ``X-Forwarded-For``, whose hops count as far as the one after is ``trusted``;
    some proxies write them with a port. An empty ``peer`` comes by a UNIX socket.
    """
    hops = [hop.strip() for hop in forwarded.split(",")]
    believed = unix_trusted if not peer else _is_in(peer, trusted)
    while hops and believed and (ip := _parse_ip(_WITH_PORT.sub(r"\1\2", hops.pop()))):
        peer = str(ip)
        believed = _is_in(peer, trusted)
    return str(_parse_ip(peer) or peer)


def _wrapped(wsgi_app: WsgiApp, settings: Settings) -> WsgiApp:
    named = set(settings.trusted_proxies)
    trusted = [ip_network(network) for network in named - {UNIX_SOCKET}]
    unix_trusted = UNIX_SOCKET in named

    def wrapped(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ["REMOTE_ADDR"] = client_ip(
            environ.get("REMOTE_ADDR", ""),
            environ.get("HTTP_X_FORWARDED_FOR", ""),
            trusted,
            unix_trusted=unix_trusted,
        )
        if not _is_ours(environ.get("HTTP_HOST", ""), settings):
            # Flask can't match URLs for some malformed hosts.
            environ[_HOST_REFUSED] = True
            environ["HTTP_HOST"] = settings.public_host
        environ[_ID] = secrets.token_hex(8)
        # Only timeoutMS and pymongo.timeout bound the wait for a hung server; the driver's other
        # timeouts let a request wait for 14 s.
        with bound_contextvars(request_id=environ[_ID]), pymongo.timeout(REQUEST_SECONDS):
            try:
                return wsgi_app(environ, start_response)
            finally:
                structlog.contextvars.unbind_contextvars("account", "api_key", "organization")

    return wrapped


def _is_ours(host: str, settings: Settings) -> bool:
    if settings.local and _LOOPBACK.fullmatch(host):
        return True  # locally any port may be forwarded to the portal
    default_port = ":443" if settings.https else ":80"
    given, ours = (name.lower().removesuffix(default_port) for name in (host, settings.public_host))
    return given == ours


def _is_in(text: str, networks: list[Network]) -> bool:
    ip = _parse_ip(text)
    return ip is not None and any(ip in network for network in networks)


def _parse_ip(text: str) -> IPv4Address | IPv6Address | None:
    """The IP address in ``text``, if it is one; IPv4-mapped IPv6 as IPv4."""
    try:
        ip = ip_address(text)
    except ValueError:
        return None
    if "%" in text:  # a zone, which may be any text
        return None
    return (ip.ipv4_mapped or ip) if isinstance(ip, IPv6Address) else ip


def _begin() -> None:
    g.request_id = request.environ[_ID]
    g.begun = time.perf_counter()
    clusters.begin_request()
    if _HOST_REFUSED in request.environ and request.endpoint not in HEALTH:
        raise WrongHost


def _check_body() -> None:
    if request.method not in SAFE:
        bodies.check(bodies.JSON if is_api() else bodies.FORM)


def _end(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    if request.endpoint not in HEALTH:
        milliseconds = (time.perf_counter() - g.begun) * 1000
        traffic.count(milliseconds)
        log.info(
            "request.answered",
            method=request.method,
            path=path_for_log(),
            status=response.status_code,
            milliseconds=round(milliseconds, 1),
        )
    return response
