"""Findings about the database server, the mail server, and the clocks."""

from collections.abc import Iterator

from pymongo.errors import PyMongoError

from portal.database import connection
from portal.database.clusters import known_clusters
from portal.doctor.findings import Finding, Kind
from portal.errors import Unavailable
from portal.mail import outbox
from portal.placement import capacity, policies

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


FULL_CLUSTER = Kind(
    "full_cluster",
    "Clusters that are nearly full, or don't tell how much they may hold",
    "New organizations share collections there. `flask placements capacity` shows why; the policy "
    "sends them elsewhere, and says what a hosted cluster may hold.",
)
_NEARLY_FULL_PERCENT = 80


def find_full_clusters() -> Iterator[Finding]:
    """Clusters that take few more collections or none. One that doesn't answer is told of by
    others."""
    policy = policies.current_policy()
    for cluster in known_clusters():
        if not cluster.open:
            continue
        try:
            reading = capacity.read(cluster.name, databases=True)
        except (PyMongoError, Unavailable):
            continue
        gauges = capacity.gauges_of(reading, policy.limits_of(cluster.name))
        if not gauges:
            yield Finding(FULL_CLUSTER, cluster.name, "it tells no limit, and the policy none")
        for gauge in gauges:
            if gauge.percent >= _NEARLY_FULL_PERCENT:
                held = f"{gauge.held:,} of {gauge.limit:,} {gauge.what}, {gauge.wall}"
                yield Finding(FULL_CLUSTER, cluster.name, held)


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
