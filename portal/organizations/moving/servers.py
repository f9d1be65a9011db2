"""Checks of the servers that a move is between: rights, room, and what their oplogs keep."""

import math
import time
from collections.abc import Iterator

from humanize import naturalsize

from portal import settings
from portal.clusters.oplogs import LEAST_MEGABYTES
from portal.database import portal_role
from portal.database.clusters import client_of
from portal.documents.organizations import Strategy
from portal.organizations.moving.wishes import Check, Wish
from portal.placement import capacity
from portal.placement.policies import current_policy
from portal.tenants.moving.oplog import Oplog, read_oplog

KEPT_SECONDS = 60
"""The time for which a look at an oplog counts."""

_WATCHED_SECONDS = 0.3
# A move that takes longer than expected has its oplog all the same.
_MARGIN = 2

_known: dict[str, tuple[float, Oplog]] = {}


def check_servers(
    source: str, wish: Wish, *, copied_bytes: int, seconds: float, indexes: int
) -> Iterator[Check]:
    """The checks of the clusters that a move is between, which is expected to write so many bytes
    in so many ``seconds``, and to build so many ``indexes``. Raises ClusterUnavailable,
    PyMongoError."""
    for cluster in dict.fromkeys((source, wish.cluster)):
        yield _check_rights(cluster)
    yield _check_room(wish, indexes)
    written = copied_bytes if wish.cluster == source else 0
    yield _check_oplog(source, seconds, written)
    if wish.cluster != source:
        yield _check_oplog(wish.cluster, seconds, copied_bytes)


def forget() -> None:
    """Look at each oplog at its next use."""
    _known.clear()


def _check_rights(cluster: str) -> Check:
    needed = portal_role.tenant_rights(settings.current().tenant_db)
    lacking = [
        str(rights)
        for rights in portal_role.missing_rights(client_of(cluster), needed)
        if rights.database != portal_role.OPLOG.database
    ]
    if lacking:
        words = f"The portal lacks rights on {cluster}: {'; '.join(lacking)}"
        return Check(words, passed=False)
    return Check(f"The portal has its rights on {cluster}")


def _check_room(wish: Wish, indexes: int) -> Check:
    """A shared collection is there, or takes no more than one more. Each index takes a file, as
    half of a collection does."""
    policy, in_database = current_policy(), wish.strategy == Strategy.DATABASE
    reading = capacity.read(wish.cluster, databases=in_database)
    gauges = capacity.gauges_of(reading, policy.limits_of(wish.cluster))
    full_at = policy.guard.full_at_percent
    if not gauges and wish.strategy != Strategy.SHARED:
        words = (
            f"{wish.cluster} doesn't tell how much it may hold: write that into the policy "
            f"([limits.{wish.cluster}])"
        )
        return Check(words, passed=False)
    full = [
        gauge
        for gauge in gauges
        if gauge.free(full_at) < gauge.each + (indexes if gauge.what in capacity.IN_FILES else 0)
    ]
    if full and wish.strategy != Strategy.SHARED:
        told = ", ".join(f"{gauge.held:,} {gauge.what} of {gauge.limit:,}" for gauge in full)
        return Check(f"{wish.cluster} has no room: it holds {told}", passed=False)
    return Check(f"{wish.cluster} has room")


def _check_oplog(cluster: str, seconds: float, copied_bytes: int) -> Check:
    oplog = _oplog_of(cluster)
    lacking = oplog.lacks(_MARGIN * seconds, copied_bytes)
    unsure = "" if oplog.exact else f" (estimated: the portal lacks {portal_role.OPLOG})"
    if lacking:
        # The server counts in units of 1,048,576 bytes.
        size = max(LEAST_MEGABYTES, math.ceil((oplog.max_bytes + lacking) / 2**20))
        words = (
            f"The oplog of {cluster} is too small by {naturalsize(lacking)} for the copy and those "
            f"who write meanwhile: enlarge it, while it runs (flask clusters oplog {cluster} "
            f"{size}){unsure}"
        )
        return Check(words, passed=False)
    return Check(f"The oplog of {cluster} keeps what is written meanwhile{unsure}")


def _oplog_of(cluster: str) -> Oplog:
    looked_at, oplog = _known.get(cluster, (0.0, None))
    if oplog is None or time.monotonic() - looked_at > KEPT_SECONDS:
        oplog = read_oplog(client_of(cluster), _WATCHED_SECONDS)
        _known[cluster] = time.monotonic(), oplog
    return oplog
