"""MongoDB users by whom operators read, compared with the support grants that record them.

A user is recorded before it is made, and dropped before its record is changed. So one that is
listed twice without a record in between has none: an older backup of the master database leaves it
so, and nobody else has its password.
"""

from collections.abc import Iterator
from functools import partial

from pymongo.errors import OperationFailure

from portal import settings
from portal.database import users
from portal.database.clusters import client_of, is_available, known_clusters
from portal.database.users import UNAUTHORIZED
from portal.doctor.findings import Finding, Kind
from portal.documents.organizations import Organization
from portal.documents.support import SupportGrant
from portal.organizations.lifecycle.privileges import home_of
from portal.organizations.support.reading import PREFIX

UNRECORDED_READER = Kind(
    "unrecorded_reader",
    "MongoDB users by whom operators read an organization, and that no support grant records",
    "An older backup of the master database leaves them so. Nobody has their passwords; --repair "
    "drops them.",
)


def find_unrecorded() -> Iterator[Finding]:
    """Users of support grants that no grant records."""
    for home in sorted(_homes()):
        suspects = _unrecorded_in(home)
        for name in sorted(suspects and suspects & _unrecorded_in(home)):
            words = f"is in {home[1]} on {home[0]}"
            yield Finding(UNRECORDED_READER, name, words, repair=partial(_drop, home, name))


def _homes() -> set[tuple[str, str]]:
    """The clusters that answer, each with a database in which there may be such users."""
    answering = [known.name for known in known_clusters() if is_available(known.name)]
    homes = {(name, settings.current().tenant_db) for name in answering}
    with_own = Organization.objects(placement__database__ne=None, support_users__gt=0)
    homes |= {home_of(organization.placement) for organization in with_own.only("placement")}
    return {home for home in homes if home[0] in answering}


def _unrecorded_in(home: tuple[str, str]) -> set[str]:
    cluster, database = home
    try:
        found = users.users_in(client_of(cluster)[database], PREFIX)
    except OperationFailure as error:
        if error.code != UNAUTHORIZED:
            raise
        return set()  # the check of credentials tells that the portal may not look
    recorded = SupportGrant.objects(users__name__in=list(found)).only("users") if found else ()
    return found - {user.name for grant in recorded for user in grant.users}


def _drop(home: tuple[str, str], name: str) -> str | None:
    if name not in _unrecorded_in(home):
        return None
    users.drop_user(client_of(home[0])[home[1]], name)
    return "dropped"
