"""Reasons why a mail could not leave, in a sentence for operators.

What is stored is the error as it was raised, which names class and reply of the server.
"""

import ast

_MOST_OF_A_REPLY = 200

_SENTENCES = {
    "SMTPAuthenticationError": "The mail server refuses MAIL_USERNAME or MAIL_PASSWORD",
    "SMTPConnectError": "The mail server refuses to talk to the portal",
    "SMTPDataError": "The mail server refused the mail",
    "SMTPHeloError": "The mail server refuses to talk to the portal",
    "SMTPNotSupportedError": "The mail server can’t do what is needed: see MAIL_SECURITY",
    "SMTPRecipientsRefused": "The mail server refused the recipient",
    "SMTPSenderRefused": "The mail server refuses to send for the address in MAIL_FROM",
    "SMTPServerDisconnected": "The mail server hung up",
    "ConnectionRefusedError": "Nothing listens at MAIL_SERVER and MAIL_PORT",
    "BrokenPipeError": "The mail server hung up",
    "ConnectionAbortedError": "The mail server hung up",
    "ConnectionResetError": "The mail server hung up",
    "TimeoutError": "The mail server did not answer in time",
    "gaierror": "The name in MAIL_SERVER leads to no server",
    "SSLCertVerificationError": "The mail server’s certificate is not trusted: see MAIL_CA_FILE",
    "SSLEOFError": "No encrypted connection came about: see MAIL_SECURITY",
    "SSLError": "No encrypted connection came about: see MAIL_SECURITY",
    "OSError": "The mail server can’t be reached",
    "FileNotFoundError": "The folder in MAIL_DIRECTORY isn’t there",
    "PermissionError": "The portal may not write into the folder in MAIL_DIRECTORY",
}
"""By the name of the error's class."""


def in_a_sentence(error: str) -> str:
    """The stored ``error`` for people, with what the server replied."""
    name, _, rest = error.partition(": ")
    if name not in _SENTENCES:
        return "The portal could not write or send this mail." if name.isidentifier() else error
    reply = _reply(rest)
    return f"{_SENTENCES[name]}: {reply}" if reply else f"{_SENTENCES[name]}."


def _reply(written: str) -> str:
    """The code and text in ``(451, b'Later')``, or ``{'mara@acme.example': (451, b'Later')}``."""
    try:
        read = ast.literal_eval(written)
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):  # all that it may
        return ""
    if isinstance(read, dict):
        read = next(iter(read.values()), None)
    match read:
        case (int() as code, bytes() | str() as text, *_):
            shown = text.decode(errors="replace") if isinstance(text, bytes) else text
            return f"{code} {' '.join(shown.split())}"[:_MOST_OF_A_REPLY]
    return ""
