"""Findings about the database server, the mail server, and the clocks."""

from collections.abc import Iterator

from portal.database import connection
from portal.doctor.findings import Finding, Kind
from portal.mail import outbox

LEAKING_SERVER = Kind(
    "leaking_server",
    "A MongoDB server that shows its memory to strangers",
    f"Here {connection.LEAKS_MEMORY}.",
)
WAITING_MAILS = Kind(
    "waiting_mails",
    "Mails that don't leave",
    "Correct MAIL_..., and try it by `flask mail test ADDRESS`. They are tried for three days.",
)
WRONG_CLOCK = Kind(
    "wrong_clock",
    "A portal and a database server whose clocks differ",
    "Set the clock of both machines by NTP. It is the clock of this machine that was compared.",
)


def find_leaking_server() -> Iterator[Finding]:
    """A server with CVE-2025-14847 and zlib."""
    client = connection.client()
    if connection.leaks_memory(client):
        yield Finding(LEAKING_SERVER, "MONGO_URI", f"MongoDB {client.server_info()['version']}")


def find_waiting_mails() -> Iterator[Finding]:
    """Mails that could not leave yet."""
    if backlog := outbox.backlog():
        yield Finding(WAITING_MAILS, "mails", str(backlog))


def find_wrong_clock() -> Iterator[Finding]:
    """A difference of the clocks that people or programs notice."""
    if words := connection.describe_clocks():
        yield Finding(WRONG_CLOCK, "clock", words)
