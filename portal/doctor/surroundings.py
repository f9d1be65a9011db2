"""What the portal stands on: the database server, and the mail server."""

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


def find_leaking_server() -> Iterator[Finding]:
    """A server with CVE-2025-14847 and zlib."""
    client = connection.client()
    if connection.leaks_memory(client):
        yield Finding(LEAKING_SERVER, "MONGO_URI", f"MongoDB {client.server_info()['version']}")


def find_waiting_mails() -> Iterator[Finding]:
    """Mails that could not leave yet."""
    if backlog := outbox.backlog():
        yield Finding(WAITING_MAILS, "mails", str(backlog))
