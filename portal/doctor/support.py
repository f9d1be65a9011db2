"""MongoDB users by whom operators read, compared with the support grants that record them.

A user is recorded before it is made, and dropped before its record is changed. So one that is
listed twice without a record in between has none: an older backup of the master database leaves it
so, and nobody else has its password.
"""

from collections.abc import Iterator
from functools import partial

from pymongo.errors import OperationFailure

from portal.database import users
from portal.database.users import UNAUTHORIZED
from portal.doctor.findings import Finding, Kind
from portal.doctor.user_homes import NO_ADMINISTRATORS, Administrators, Home, find_homes
from portal.documents.support import SupportGrant
from portal.organizations.support.reading import PREFIX

UNRECORDED_READER = Kind(
    "unrecorded_reader",
    "MongoDB users and roles by which operators read, and that no support grant records",
    "An older backup of the master database leaves them so. Nobody has their passwords; --repair "
    "drops them.",
)


def find_unrecorded(administrators: Administrators = NO_ADMINISTRATORS) -> Iterator[Finding]:
    """Users and roles of support grants that no grant records."""
    for home in find_homes(PREFIX, _expected(), administrators):
        suspects = _unrecorded_in(home)
        for name in sorted(suspects and suspects & _unrecorded_in(home)):
            words = f"is in {home.database} on {home.cluster}"
            yield Finding(UNRECORDED_READER, name, words, repair=partial(_drop, home, name))


def _expected() -> set[tuple[str, str]]:
    """The places in which the users of grants are, by their records."""
    grants = SupportGrant.objects(users__0__exists=True).only("users")
    return {(user.cluster, user.database) for grant in grants for user in grant.users}


def _unrecorded_in(home: Home) -> set[str]:
    try:
        found = users.users_in(home.opened, PREFIX) | {*users.roles_in(home.opened, PREFIX)}
    except OperationFailure as error:
        if error.code != UNAUTHORIZED:
            raise
        return set()  # the check of credentials tells that the portal may not look
    recorded = SupportGrant.objects(users__name__in=list(found)).only("users") if found else ()
    return found - {user.name for grant in recorded for user in grant.users}


def _drop(home: Home, name: str) -> str | None:
    if name not in _unrecorded_in(home):
        return None
    users.drop_user(home.opened, name)
    return "dropped"
