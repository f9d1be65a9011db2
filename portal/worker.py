"""gunicorn's threaded worker, with one difference: a request gets a thread when it has arrived.

The original gives each connection a thread that then waits for the sender, so that a handful of
slow ones keeps everybody out. Here they wait in the worker's event loop, which holds hundreds.
"""

import re
import selectors
import socket
import struct
import time
from functools import partial
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

from portal.requests import LARGEST_BODY_BYTES

PATIENCE_SECONDS = 10
_LARGEST_HEAD_BYTES = 64 * 1024
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,9})[ \t]*\r\n", re.I)
# A thread that sends is let go when the reader takes nothing for as long (socket(7)).
_SEND_TIMEOUT = struct.pack("ll", PATIENCE_SECONDS, 0)


class PatientWorker(ThreadWorker):
    """Reads each request in the event loop, within PATIENCE_SECONDS, before a thread has it."""

    def accept(self, listener: socket.socket) -> None:
        if self.cfg.is_ssl:  # what is encrypted can't be read ahead
            super().accept(listener)
            return
        try:
            client, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):  # another worker was faster
            return
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _SEND_TIMEOUT)
        self.nr_conns += 1
        self._await_request(TConn(self.cfg, client, address, listener.getsockname()))

    def on_client_socket_readable(self, conn: TConn, client: socket.socket) -> None:
        """A connection that was kept alive sends its next request."""
        if self.cfg.is_ssl:
            super().on_client_socket_readable(conn, client)
            return
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._await_request(conn)

    def on_pending_socket_readable(self, conn: TConn, client: socket.socket) -> None:
        """Another part of a request has come."""
        if self.cfg.is_ssl:
            super().on_pending_socket_readable(conn, client)
            return
        try:
            part = client.recv(LARGEST_BODY_BYTES)
        except BlockingIOError:
            return
        except OSError:
            part = b""
        conn.received += part
        if part and not _is_whole(conn.received):
            return  # murder_pending ends those that take too long
        self.poller.unregister(client)
        self.pending_conns.remove(conn)
        conn.data_ready = True
        conn.init()
        conn.parser.unreader.unread(bytes(conn.received))
        self.enqueue_req(conn)

    def _cap_keepalive(self, deadline: float) -> None:
        """The worker stops: nor does it wait longer for requests that only begin."""
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)

    def _await_request(self, conn: Any) -> None:
        conn.received = bytearray()
        conn.timeout = time.monotonic() + PATIENCE_SECONDS
        self.pending_conns.append(conn)
        arrived = partial(self.on_pending_socket_readable, conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, arrived)


def _is_whole(received: bytearray) -> bool:
    """Whether the request is there, or so much of it that it will be refused without the rest."""
    head, end, body = received.partition(b"\r\n\r\n")
    if not end:
        return len(received) > _LARGEST_HEAD_BYTES
    length = _LENGTH.search(head + b"\r\n")
    wanted = int(length[1]) if length else 0
    return len(body) >= wanted or wanted > LARGEST_BODY_BYTES
