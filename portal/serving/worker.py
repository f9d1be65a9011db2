"""gunicorn's threaded worker, except that a request gets a thread only once it is complete.

The original gives each connection a thread that waits for the request, and blocks its event loop
until each client hangs up, so that a few slow clients lock out everybody else. Here the event loop
waits for all clients concurrently, with a deadline for each.
"""

import re
import selectors
import socket
import struct
import time
from collections import deque
from contextlib import suppress
from functools import partial
from typing import Any

from gunicorn.config import Config
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, TConn, ThreadWorker

from portal.web.bodies import PATIENCE_SECONDS, SMALL_BYTES

_LINGER_SECONDS = 2
_LARGEST_HEAD_BYTES = 64 * 1024
_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*0*(\d*)[ \t]*\r\n", re.I)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.I)
_EXPECTS = re.compile(rb"\r\nexpect:[ \t]*100-continue[ \t]*\r\n", re.I)
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_TOO_LATE = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
# Releases a thread whose client neither sends nor receives for as long (socket(7)).
_SOCKET_TIMEOUT = struct.pack("ll", PATIENCE_SECONDS, 0)


class Arrival:
    """The received part of a request, and its expected length."""

    def __init__(self, received: bytes) -> None:
        self.received = bytearray()
        self.expected_bytes: int | None = None  # in all, known from the end of the head on
        self.expects = False  # the client waits for "100 Continue" before sending the body
        self.ends = True  # whether its end is known, so that another request may follow
        self.add(received)

    def add(self, part: bytes) -> None:
        searched = max(0, len(self.received) - len(_HEAD_END))
        self.received += part
        if self.expected_bytes is None:
            end = self.received.find(_HEAD_END, searched)
            if end >= 0:
                self._read_head(bytes(self.received[: end + len(_HEAD_END)]))

    def _read_head(self, head: bytes) -> None:
        length = _LENGTH.search(head)
        digits = length[1] if length else b""
        fits = len(digits) < 9 and int(digits or 0) <= SMALL_BYTES
        self.ends = fits and not _CHUNKED.search(head)
        # A request that is larger or has no end gets a thread without its body: the endpoint
        # rejects it, or reads the body in one of few slots.
        self.expected_bytes = len(head) + (int(digits or 0) if self.ends else 0)
        self.expects = _EXPECTS.search(head) is not None

    @property
    def whole(self) -> bool:
        """Tell whether everything that the portal reads has arrived."""
        if self.expected_bytes is None:
            return len(self.received) > _LARGEST_HEAD_BYTES
        return len(self.received) >= self.expected_bytes


class BufferingWorker(ThreadWorker):
    """Waits in the event loop for requests, and for clients to hang up."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.leaving: deque[TConn] = deque()

    @classmethod
    def check_config(cls, cfg: Config, log: Any) -> None:
        """Reject TLS: encrypted requests can't be read ahead, and a proxy should terminate it."""
        if cfg.is_ssl:
            raise RuntimeError("Let a proxy terminate TLS, or use the worker class gthread.")
        super().check_config(cfg, log)

    def accept(self, listener: socket.socket) -> None:
        try:
            client, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):  # another worker was faster
            return
        except OSError as error:  # out of file descriptors: gunicorn accepts again later
            self.log.error("A connection can't be accepted: %s", error)
            self.set_accept_enabled(False)
            return
        for direction in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            client.setsockopt(socket.SOL_SOCKET, direction, _SOCKET_TIMEOUT)
        self.nr_conns += 1
        self._await_request(TConn(self.cfg, client, address, listener.getsockname()))

    def on_client_socket_readable(self, conn: TConn, client: socket.socket) -> None:
        """A kept-alive connection sends its next request."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._await_request(conn)

    def on_pending_socket_readable(self, conn: TConn, client: socket.socket) -> None:
        """Another part of a request has arrived."""
        part = _received(client)
        if part is None:
            return
        conn.arrival.add(part)
        if part and not conn.arrival.whole:
            if conn.arrival.expects:
                conn.arrival.expects = False
                _send(client, _CONTINUE)
            return  # murder_pending closes those that take too long
        self.poller.unregister(client)
        self.pending_conns.remove(conn)
        self._give_to_thread(conn)

    def finish_request(self, conn: TConn, fs: Any) -> None:
        """A thread has finished a request: await the next one, or the client's hang-up."""
        keep = not fs.cancelled() and fs.exception() is None and fs.result()
        if not keep:
            self._linger(conn)
            return
        ahead = conn.parser.unreader.take_buffered()
        if ahead:
            self._await_request(conn, ahead)
            return
        conn.sock.setblocking(False)
        conn.timeout = self._deadline(self.cfg.keepalive)
        self.keepalived_conns.append(conn)
        arrived = partial(self.on_client_socket_readable, conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, arrived)

    def murder_pending(self) -> None:
        """Close connections past their deadline, with a response where a request had begun."""
        for conn in _expired(self.pending_conns):
            self.poller.unregister(conn.sock)
            if conn.arrival.received:
                _send(conn.sock, _TOO_LATE)
            self._linger(conn)
        for conn in _expired(self.leaving):
            self.poller.unregister(conn.sock)
            self._close(conn)

    def handle_request(self, req: Any, conn: TConn) -> bool:
        """Answer a request; where the connection will be closed, the answer says so."""
        if not conn.arrival.ends:
            req.force_close()
        req.headers = _with_one_cookie_field(req.headers)
        return super().handle_request(req, conn)

    def _keepalive_after(self, conn: TConn, keepalive: bool) -> bool:
        # Nobody knows how much of a request without end was read.
        return conn.arrival.ends and super()._keepalive_after(conn, keepalive)

    def _cap_keepalive(self, deadline: float) -> None:
        """The worker is stopping: shorten the wait for incomplete requests, too."""
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)

    def _await_request(self, conn: Any, ahead: bytes = b"") -> None:
        conn.arrival = Arrival(ahead)
        if conn.arrival.whole:
            self._give_to_thread(conn)
            return
        conn.sock.setblocking(False)
        conn.timeout = self._deadline(PATIENCE_SECONDS)
        self.pending_conns.append(conn)
        arrived = partial(self.on_pending_socket_readable, conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, arrived)

    def _give_to_thread(self, conn: TConn) -> None:
        conn.data_ready = True
        conn.init()
        conn.parser.unreader.unread(bytes(conn.arrival.received))
        self.enqueue_req(conn)

    def _linger(self, conn: TConn) -> None:
        """Shut down sending, and let the client read the response: closing a connection with unread
        data would reset it, and lose the response."""
        try:
            conn.sock.setblocking(False)  # fails where a broken-off response already closed it
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(conn)
            return
        conn.timeout = self._deadline(_LINGER_SECONDS)
        self.leaving.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._discard, conn))

    def _discard(self, conn: TConn, client: socket.socket) -> None:
        if _received(client) == b"":
            self.poller.unregister(client)
            self.leaving.remove(conn)
            self._close(conn)

    def _close(self, conn: TConn) -> None:
        self.nr_conns -= 1
        conn.close()

    def _deadline(self, seconds: float) -> float:
        return time.monotonic() + (seconds if self.alive else min(seconds, STOP_KEEPALIVE_LINGER))


def _with_one_cookie_field(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The headers with all cookies in one field. Browsers send several in HTTP/2, proxies hand them
    on as they are (RFC 9113, 8.2.3, forbids it), and gunicorn would join them by commas."""
    cookies = [value for name, value in headers if name == "COOKIE"]
    if len(cookies) < 2:
        return headers
    return [each for each in headers if each[0] != "COOKIE"] + [("COOKIE", "; ".join(cookies))]


def _expired(waiting: deque[TConn]) -> list[TConn]:
    """Remove and return the connections past their deadline, by which the deque is sorted."""
    expired = []
    while waiting and waiting[0].timeout <= time.monotonic():
        expired.append(waiting.popleft())
    return expired


def _received(client: socket.socket) -> bytes | None:
    """The received bytes; empty at the end, ``None`` if there are none yet."""
    try:
        return client.recv(SMALL_BYTES)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def _send(client: socket.socket, response: bytes) -> None:
    with suppress(OSError):  # the client may be gone
        client.send(response)
