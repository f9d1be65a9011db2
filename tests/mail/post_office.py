"""A real SMTP server that a test may have refuse, hang, or hang up."""

# ruff: noqa: N802 (aiosmtpd names its hooks so)
import email
import email.policy
import logging
import socket
import threading
from contextlib import contextmanager

from aiosmtpd.controller import Controller

logging.getLogger("mail.log").setLevel(logging.ERROR)


class PostOffice:
    """What it was handed, and how it answers what comes next.

    ``answers`` are replies to the next messages in turn; after them, and for ``None``, it takes
    what comes. ``taken`` is called with each message before that is acknowledged.
    """

    def __init__(self):
        self.messages, self.answers = [], []
        self.refused = {}
        self.taken = lambda message: None

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        answer = self.answers.pop(0) if self.answers else None
        if answer == "hang up":
            server.transport.close()
            return "421 gone"
        if answer:
            return answer
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.messages.append(message)
        self.taken(message)
        return "250 OK"

    def to(self, address):
        """The messages that an address got."""
        return [message for message in self.messages if message["To"] == address]


def text_of(message, kind="plain"):
    return message.get_body((kind,)).get_content()


@contextmanager
def open_office():
    """A post office, and the port it is at."""
    office = PostOffice()
    controller = Controller(office, hostname="127.0.0.1", port=_free_port())
    controller.start()
    try:
        yield office, controller.port
    finally:
        controller.stop()


@contextmanager
def silent_server():
    """A port where connections are taken and nothing is ever said."""
    listener = socket.create_server(("127.0.0.1", 0))
    kept = []
    threading.Thread(target=_take_all, args=(listener, kept), daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()
        for connection in kept:
            connection.close()


def _take_all(listener, kept):
    while True:
        try:
            kept.append(listener.accept()[0])
        except OSError:
            return


def _free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]
