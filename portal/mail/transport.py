"""Delivery of mails: by SMTP, or without a mail server as files."""

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.charset import QP, Charset
from functools import cache
from pathlib import Path
from typing import Any

import idna
from flask import Flask, current_app
from flask_mailman import EmailMultiAlternatives, Mail
from flask_mailman.backends import file, smtp

from portal.settings import Settings

# For each SMTP command; a mail takes about ten.
STEP_SECONDS = 10
_ASK_SECONDS = 3  # in a request

_QUOTED_PRINTABLE = Charset("utf-8")
_QUOTED_PRINTABLE.body_encoding = QP

_mailman = Mail()


class _Greeting:
    """Greets the mail server by the portal's public name: a container's own name is none that the
    server could look up, for which many refuse (RFC 5321, 4.1.4)."""

    def __init__(self, *args: Any, **options: Any) -> None:
        if name := current_app.config["MAIL_GREETING"]:
            options["local_hostname"] = name
        super().__init__(*args, **options)


class _Smtp(_Greeting, smtplib.SMTP):
    """``starttls`` verifies the server's certificate, which smtplib by default does not."""

    def starttls(self, *args: Any, **options: Any) -> Any:
        return super().starttls(context=_tls_context())


class _SmtpOverTls(_Greeting, smtplib.SMTP_SSL):
    """SMTP inside TLS."""


class _FileBackend(file.EmailBackend):
    """A file per mail, readable only by the portal's user: mails contain links."""

    def __init__(self, *args: Any, **options: Any) -> None:
        Path(options["mailman"].file_path).mkdir(mode=0o700, parents=True, exist_ok=True)
        super().__init__(*args, **options)


class _SmtpBackend(smtp.EmailBackend):
    @property
    def connection_class(self) -> type[smtplib.SMTP]:
        return _SmtpOverTls if self.use_ssl else _Smtp

    def _send(self, email_message: EmailMultiAlternatives) -> bool:
        """Send by SMTPUTF8 where the recipient needs it: Flask-Mailman would encode the part before
        the @, to an address that doesn't exist. In 7 bits, which every server takes as they are,
        and hands on to the next without a change that would break a signature."""
        email_message.encoding = _QUOTED_PRINTABLE
        [to] = email_message.recipients()
        if to.rpartition("@")[0].isascii():
            return super()._send(email_message)
        message = message_from_bytes(email_message.message().as_bytes(), policy=policy.SMTPUTF8)
        message.replace_header("To", to)
        self.connection.send_message(message, to_addrs=[to])
        return True

    @property
    def ssl_context(self) -> ssl.SSLContext:
        return _tls_context()


def _tls_context() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=current_app.config["MAIL_CA_FILE"])


def init_app(app: Flask, settings: Settings) -> None:
    """Configure how ``app`` sends mails."""
    app.config.update(
        MAIL_BACKEND=_SmtpBackend if settings.mail_server else _FileBackend,
        MAIL_FILE_PATH=settings.mail_directory,
        MAIL_SERVER=settings.mail_server,
        MAIL_PORT=settings.mail_port,
        MAIL_USERNAME=settings.mail_username,
        MAIL_PASSWORD=settings.mail_password,
        MAIL_USE_TLS=settings.mail_security == "starttls",
        MAIL_USE_SSL=settings.mail_security == "tls",
        MAIL_CA_FILE=settings.mail_ca_file or None,
        MAIL_TIMEOUT=STEP_SECONDS,
        MAIL_DEFAULT_SENDER=settings.sender,
        MAIL_GREETING=settings.mail_greeting,
    )
    _mailman.init_app(app)
    app.jinja_env.globals["mail_folder"] = None if settings.mail_server else settings.mail_directory


@dataclass(frozen=True, slots=True)
class StoredMail:
    """A mail stored as a file."""

    path: Path
    at: str
    to: str
    subject: str
    text: str


def stored_mails(directory: str) -> Iterator[StoredMail]:
    """The mails stored as files in ``directory``, newest first."""
    for path in sorted(Path(directory).glob("*.log"), reverse=True):
        message = message_from_bytes(path.read_bytes(), policy=policy.default)
        text = message.get_body(("plain",))
        yield StoredMail(
            path,
            str(message["Date"]),
            str(message["To"]),
            str(message["Subject"]),
            text.get_content() if text else "",
        )


@cache
def offers_smtputf8(server: str, port: int) -> bool:
    """Tell whether the mail server takes addresses with any letters before the @; asked once in the
    life of a process. Raises smtplib's errors, which are OSErrors."""
    if not server:
        return True
    connection = _mailman.get_connection(timeout=_ASK_SECONDS)
    connection.open()
    try:
        connection.connection.ehlo_or_helo_if_needed()
        return connection.connection.has_extn("smtputf8")
    finally:
        connection.close()


@contextmanager
def deliver(message: EmailMultiAlternatives) -> Iterator[None]:
    """Deliver the message; inside the block the server has accepted it. Errors of closing the
    connection afterwards are ignored. Raises smtplib's errors, which are OSErrors, and ValueError
    for a recipient's domain that is none."""
    message.to = [_with_ascii_domain(to) for to in message.to]
    connection = _mailman.get_connection()
    connection.open()
    try:
        connection.send_messages([message])
        yield
    finally:
        try:
            connection.close()
        except OSError:
            connection.connection = None


def _with_ascii_domain(address: str) -> str:
    """Encode the domain by IDNA 2008, as parse_email does: Flask-Mailman would by IDNA 2003, which
    makes straße.example strasse.example, somebody else's."""
    local, at, domain = address.rpartition("@")
    return address if domain.isascii() else local + at + idna.encode(domain, uts46=True).decode()
