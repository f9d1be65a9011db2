"""Why a mail could not leave is told in a sentence, with what the server replied."""

import smtplib
import socket
import ssl

import pytest

from portal.database.leases import summary
from portal.mail.reasons import in_a_sentence

RELAYING = b"5.7.1 <mara@acme.example>: Relay access denied"
LOCKED = b"4.7.0 Too many\r\nconnections from 192.0.2.7, try later"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (smtplib.SMTPDataError(451, LOCKED), "451 4.7.0 Too many connections from 192.0.2.7"),
        (
            smtplib.SMTPRecipientsRefused({"mara@acme.example": (554, RELAYING)}),
            "refused the recipient: 554 5.7.1 <mara@acme.example>: Relay access denied",
        ),
        (
            smtplib.SMTPSenderRefused(553, b"sender not owned by user", "portal@acme.example"),
            "MAIL_FROM: 553 sender not owned by user",
        ),
        (
            smtplib.SMTPAuthenticationError(535, b"5.7.8 caf\xc3\xa9"),
            "MAIL_PASSWORD: 535 5.7.8 café",
        ),
        (
            smtplib.SMTPConnectError(554, "no service"),
            "refuses to talk to the portal: 554 no service",
        ),
        (smtplib.SMTPServerDisconnected("Connection unexpectedly closed"), "hung up."),
        (smtplib.SMTPNotSupportedError("STARTTLS extension not supported"), "see MAIL_SECURITY"),
        (ConnectionRefusedError(111, "Connection refused"), "Nothing listens at MAIL_SERVER"),
        (TimeoutError("timed out"), "did not answer in time."),
        (socket.gaierror(-2, "Name or service not known"), "leads to no server."),
        (ssl.SSLCertVerificationError("self-signed certificate"), "see MAIL_CA_FILE."),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER]"), "see MAIL_SECURITY."),
        (OSError(101, "Network is unreachable"), "can’t be reached."),
        (PermissionError(13, "Permission denied"), "may not write into the folder"),
        (ZeroDivisionError("division by zero"), "could not write or send this mail."),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_the_error_of_a_mail_is_told_in_a_sentence(error, told):
    assert told in in_a_sentence(summary(error))


def test_a_reply_that_was_stored_in_part_is_not_guessed():
    stored = summary(smtplib.SMTPDataError(554, b"x" * 400))
    assert in_a_sentence(stored) == "The mail server refused the mail."
