"""gunicorn's threaded worker, with one difference: a request gets a thread when it has arrived.

The original gives each connection a thread that then waits for the sender, and waits in its event
loop for each client to hang up, so that a handful of slow ones keeps everybody out. Here all
waiting for clients is done by the event loop at once, with a deadline for each.
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

from portal.web.requests import LARGEST_BODY_BYTES

PATIENCE_SECONDS = 10
_FAREWELL_SECONDS = 2
_LARGEST_HEAD_BYTES = 64 * 1024
_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*0*(\d*)[ \t]*\r\n", re.I)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.I)
_EXPECTS = re.compile(rb"\r\nexpect:[ \t]*100-continue[ \t]*\r\n", re.I)
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_TOO_LATE = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
# A thread is let go when its client neither sends nor takes anything for as long (socket(7)).
_STANDSTILL = struct.pack("ll", PATIENCE_SECONDS, 0)


class Arrival:
    """What of a request has come, and how much of it there will be."""

    def __init__(self, received: bytes) -> None:
        self.received = bytearray()
        self.wanted: int | None = None  # bytes in all, known with the end of the head
        self.expects = False  # the client waits for a word before it sends the body
        self.ends = True  # whether its end is known, so that another may follow
        self.add(received)

    def add(self, part: bytes) -> None:
        searched = max(0, len(self.received) - len(_HEAD_END))
        self.received += part
        if self.wanted is None:
            end = self.received.find(_HEAD_END, searched)
            if end >= 0:
                self._read_head(bytes(self.received[: end + len(_HEAD_END)]))

    def _read_head(self, head: bytes) -> None:
        length = _LENGTH.search(head)
        digits = length[1] if length else b""
        fits = len(digits) < 9 and int(digits or 0) <= LARGEST_BODY_BYTES
        self.ends = fits and not _CHUNKED.search(head)
        # What is too large or has no end is refused without the rest.
        self.wanted = len(head) + (int(digits or 0) if self.ends else 0)
        self.expects = _EXPECTS.search(head) is not None

    @property
    def whole(self) -> bool:
        """Whether all is there that the portal will look at."""
        if self.wanted is None:
            return len(self.received) > _LARGEST_HEAD_BYTES
        return len(self.received) >= self.wanted


class PatientWorker(ThreadWorker):
    """Waits for requests, and for clients to hang up, in the event loop."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.leaving: deque[TConn] = deque()

    @classmethod
    def check_config(cls, cfg: Config, log: Any) -> None:
        """Refuse TLS: what is encrypted can't be read ahead, and it is a proxy's to end."""
        if cfg.is_ssl:
            raise RuntimeError("Let a proxy end TLS, or name the worker class gthread.")
        super().check_config(cfg, log)

    def accept(self, listener: socket.socket) -> None:
        try:
            client, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):  # another worker was faster
            return
        except OSError as error:  # no file descriptor is left: look again in a moment
            self.log.error("A connection can't be accepted: %s", error)
            self.set_accept_enabled(False)
            return
        for direction in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            client.setsockopt(socket.SOL_SOCKET, direction, _STANDSTILL)
        self.nr_conns += 1
        self._await_request(TConn(self.cfg, client, address, listener.getsockname()))

    def on_client_socket_readable(self, conn: TConn, client: socket.socket) -> None:
        """A connection that was kept alive sends its next request."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._await_request(conn)

    def on_pending_socket_readable(self, conn: TConn, client: socket.socket) -> None:
        """Another part of a request has come."""
        part = _received(client)
        if part is None:
            return
        conn.arrival.add(part)
        if part and not conn.arrival.whole:
            if conn.arrival.expects:
                conn.arrival.expects = False
                _send(client, _CONTINUE)
            return  # murder_pending ends those that take too long
        self.poller.unregister(client)
        self.pending_conns.remove(conn)
        self._give_to_thread(conn)

    def finish_request(self, conn: TConn, fs: Any) -> None:
        """A thread is done with a request: wait for the next one, or for the client to leave."""
        keep = not fs.cancelled() and fs.exception() is None and fs.result()
        if not keep:
            self._await_farewell(conn)
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
        """End what has waited too long: with a word where a request had begun."""
        for conn in _expired(self.pending_conns):
            self.poller.unregister(conn.sock)
            if conn.arrival.received:
                _send(conn.sock, _TOO_LATE)
            self._await_farewell(conn)
        for conn in _expired(self.leaving):
            self.poller.unregister(conn.sock)
            self._forget(conn)

    def _keepalive_after(self, conn: TConn, keepalive: bool) -> bool:
        # Of what never ends nobody waits for the rest.
        return conn.arrival.ends and super()._keepalive_after(conn, keepalive)

    def _cap_keepalive(self, deadline: float) -> None:
        """The worker stops: nor does it wait longer for requests that only begin."""
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

    def _await_farewell(self, conn: TConn) -> None:
        """Send that nothing more comes, and let the client read what was sent: closed with
        something unread in it, a connection is reset, and the answer lost."""
        try:
            conn.sock.setblocking(False)  # closed already where an answer broke off in the middle
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._forget(conn)
            return
        conn.timeout = self._deadline(_FAREWELL_SECONDS)
        self.leaving.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._discard, conn))

    def _discard(self, conn: TConn, client: socket.socket) -> None:
        if _received(client) == b"":
            self.poller.unregister(client)
            self.leaving.remove(conn)
            self._forget(conn)

    def _forget(self, conn: TConn) -> None:
        self.nr_conns -= 1
        conn.close()

    def _deadline(self, seconds: float) -> float:
        return time.monotonic() + (seconds if self.alive else min(seconds, STOP_KEEPALIVE_LINGER))


def _expired(waiting: deque[TConn]) -> list[TConn]:
    """Take those out whose time is over; the deque is in the order of their times."""
    over = []
    while waiting and waiting[0].timeout <= time.monotonic():
        over.append(waiting.popleft())
    return over


def _received(client: socket.socket) -> bytes | None:
    """What has come; empty at the end of it, ``None`` if nothing has."""
    try:
        return client.recv(LARGEST_BODY_BYTES)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def _send(client: socket.socket, words: bytes) -> None:
    with suppress(OSError):  # whoever doesn't take it doesn't get it
        client.send(words)
