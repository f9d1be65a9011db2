"""One person: account, organizations, sessions, second factors, latest activity."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId

from portal.audit.trail import ListedEvent, events_of
from portal.database.paging import join
from portal.documents.accounts import Account
from portal.documents.memberships import Membership
from portal.documents.organizations import Organization, OrganizationState
from portal.identity.accounts.owning import solely_owned
from portal.identity.second_factors.enrollment import SecondFactors, second_factors_of
from portal.identity.sessions.sessions import ListedSession, sessions_of
from portal.operators.people.errors import PersonNotFound

MOST_SHOWN = 100
EVENTS_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Belonging:
    """An organization of the person's."""

    id: ObjectId
    name: str
    slug: str
    state: OrganizationState
    role: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Person:
    """A person's account as operators see it: names and addresses, no credentials.

    ``organizations`` are MOST_SHOWN at most, the last joined first; ``organization_count`` counts
    all of them. ``solely_owned`` are the names of those, in the trash or not, that nobody else who
    can log in owns; the first MOST_SHOWN of them.
    """

    account: Account
    organizations: list[Belonging]
    organization_count: int
    solely_owned: list[str]
    sessions: list[ListedSession]
    factors: SecondFactors
    events: list[ListedEvent]

    @property
    def name(self) -> str:
        """The person's name; empty where unset."""
        return self.account.name or ""


def find_person(person_id: str | ObjectId) -> Account:
    """The open account with this id. Raises PersonNotFound."""
    found = Account.objects(id=person_id, closed_at=None) if ObjectId.is_valid(person_id) else None
    account = found.exclude("password_hash").first() if found else None
    if account is None:
        raise PersonNotFound
    return account


def person_of(account: Account) -> Person:
    """All that operators see of the account."""
    belongings, number = _organizations(account.id)
    return Person(
        account,
        belongings,
        number,
        [owned.name for owned in solely_owned(account.id)[:MOST_SHOWN]],
        sessions_of(account.id),
        second_factors_of(account.id),
        events_of(account.id).rows[:EVENTS_SHOWN],
    )


def _organizations(account_id: ObjectId) -> tuple[list[Belonging], int]:
    memberships = Membership._get_collection()
    own = {"account": account_id}
    fields = [{"$project": {"name": 1, "slug": 1, "state": 1}}]
    found = memberships.aggregate(
        [
            {"$match": own},
            {"$sort": {"_id": -1}},
            {"$limit": MOST_SHOWN},
            join(Organization, "organization", "_id", "found", fields),
            {"$unwind": "$found"},
        ]
    )
    listed = [_belonging(row) for row in found]
    shown_all = len(listed) < MOST_SHOWN
    return listed, len(listed) if shown_all else memberships.count_documents(own)


def _belonging(row: dict[str, Any]) -> Belonging:
    found = row["found"]
    state = OrganizationState(found["state"])
    return Belonging(found["_id"], found["name"], found["slug"], state, row["role"], row["since"])
