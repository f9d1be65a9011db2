"""A line to a server that breaks."""

import socket
import struct
import threading
from contextlib import suppress

MORE_TO_COME = 2


class BreakingLine:
    """A line to the server that breaks when asked to, after the server has done what it was sent."""

    def __init__(self, port):
        self.port = port
        self.broken_at = []
        self._verb = self._meanwhile = None
        self._open, self._forgotten = set(), set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    def break_after(self, verb, meanwhile=lambda: None):
        """Lose the answer to the next command ``verb``, and do something before it is noticed."""
        self._verb, self._meanwhile = verb, meanwhile

    def close_all(self):
        """End all connections that there are, as a server does that waits no longer."""
        for near in [*self._open]:
            with suppress(OSError):
                near.shutdown(socket.SHUT_RDWR)

    def forget_all(self):
        """Lose what is sent on the connections that there are, as a firewall does that has
        forgotten them: neither end is told."""
        self._forgotten |= self._open

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._serve, args=[near], daemon=True).start()

    def _serve(self, near):
        self._open.add(near)
        # A connection may be closed at any moment.
        with suppress(OSError), near, socket.create_connection(("127.0.0.1", self.port)) as far:
            self._carry(near, far)
        self._open.discard(near)

    def _carry(self, near, far):
        while (asked := message_of(near)) is not None:
            if near in self._forgotten:
                continue
            far.sendall(asked)
            if struct.unpack("<I", asked[16:20])[0] & MORE_TO_COME:
                continue  # it has no answer
            answer = message_of(far)
            # Behind 25 bytes of lengths and flags, and one for its type, stands the command.
            if self._verb and asked[26:].startswith(f"{self._verb}\0".encode()):
                self.broken_at.append(self._verb)
                self._verb = None
                self._meanwhile()
                return
            if near not in self._forgotten:
                near.sendall(answer)


def message_of(connection):
    """The next message of MongoDB's protocol, which begins with its length."""
    head = connection.recv(4, socket.MSG_WAITALL)
    if len(head) < 4:
        return None
    return head + connection.recv(struct.unpack("<i", head)[0] - 4, socket.MSG_WAITALL)
