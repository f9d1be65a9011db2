"""A real SMTP server that a test may have refuse, hang, or hang up."""

# ruff: noqa: N802 (aiosmtpd names its hooks so)
import email
import email.policy
import logging
import socket
import ssl
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from aiosmtpd.controller import Controller
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

logging.getLogger("mail.log").setLevel(logging.ERROR)


class PostOffice:
    """A record of all that it was handed, for whom and by which greeting, and its next answers.

    ``answers`` are replies to the next messages in turn; after them, and for ``None``, it takes
    what comes. ``taken`` is called with each message before that is acknowledged.
    """

    def __init__(self):
        self.messages, self.recipients, self.answers = [], [], []
        self.refused = {}
        self.greetings = []
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
        self.greetings.append(session.host_name)
        self.recipients += envelope.rcpt_tos
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.messages.append(message)
        self.taken(message)
        return "250 OK"

    def to(self, address):
        """The messages that an address got."""
        return [message for message in self.messages if message["To"] == address]


def text_of(message, kind="plain"):
    return message.get_body((kind,)).get_content()


def own_certificate(folder):
    """A context for ``localhost`` with a certificate that no public CA signed; it is in
    ``cert.pem``."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    begin = datetime.now(UTC) - timedelta(days=1)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), begin, begin + timedelta(days=9))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    (folder / "cert.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "key.pem").write_bytes(private)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


@contextmanager
def open_office(security="none", context=None):
    """A post office, and the port it is at."""
    office = PostOffice()
    how = {"tls": {"ssl_context": context}, "starttls": {"tls_context": context}}.get(security, {})
    controller = Controller(office, hostname="localhost", port=_free_port(), **how)
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
