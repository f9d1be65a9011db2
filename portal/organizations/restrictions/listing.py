"""Read models of an organization's suspensions and legal holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId
from mongoengine import Document

from portal.audit.deletions import deletions_end_at
from portal.documents.accounts import Account
from portal.documents.restrictions import Hold, Suspension
from portal.errors import NotFound
from portal.organizations.lifecycle.errors import SuspensionNotFound
from portal.organizations.restrictions.errors import HoldNotFound

MAX_PAST = 20
"""The most suspensions, and holds, that are over and listed."""


@dataclass(frozen=True, slots=True)
class ListedSuspension:
    """A suspension; ``by`` and ``lifted_by`` are addresses, ``None`` of a command. One with a
    ``failure`` never began."""

    id: ObjectId
    kind: str
    cause: str
    message: str | None
    contact: str
    note: str | None
    at: datetime
    by: str | None
    open: bool
    lifted_at: datetime | None
    lifted_by: str | None
    failure: str | None


@dataclass(frozen=True, slots=True)
class ListedHold:
    """A legal hold; addresses as of a suspension. ``refused`` are the deletions that it held up."""

    id: ObjectId
    reason: str
    until: datetime | None
    at: datetime
    by: str | None
    open: bool
    released_at: datetime | None
    released_by: str | None
    refused: list[str]


@dataclass(frozen=True, slots=True)
class Restrictions:
    """Suspensions and holds of an organization: those that are open, the newest first, and the
    latest of those that are over. Deletions that began before a hold may take until
    ``deletions_until``."""

    suspensions: list[ListedSuspension]
    holds: list[ListedHold]
    deletions_until: datetime | None

    @property
    def open_suspensions(self) -> list[ListedSuspension]:
        """The ones in force."""
        return [one for one in self.suspensions if one.open]

    @property
    def past_suspensions(self) -> list[ListedSuspension]:
        """The ones that were lifted, or never began."""
        return [one for one in self.suspensions if not one.open]

    @property
    def open_holds(self) -> list[ListedHold]:
        """The ones in force."""
        return [one for one in self.holds if one.open]

    @property
    def past_holds(self) -> list[ListedHold]:
        """The ones that were released."""
        return [one for one in self.holds if not one.open]


def restrictions_of(organization_id: ObjectId) -> Restrictions:
    """The organization's suspensions and holds."""
    suspensions, holds = _newest(Suspension, organization_id), _newest(Hold, organization_id)
    emails = _emails(
        *(one.by for one in (*suspensions, *holds)),
        *(one.lifted_by for one in suspensions),
        *(one.released_by for one in holds),
    )
    return Restrictions(
        [_listed_suspension(one, emails) for one in suspensions],
        [_listed_hold(one, emails) for one in holds],
        deletions_end_at(organization_id) if any(one.open for one in holds) else None,
    )


def suspension_of(organization_id: ObjectId, suspension_id: str) -> ListedSuspension:
    """The organization's suspension with this id. Raises SuspensionNotFound."""
    found = _one(Suspension, organization_id, suspension_id, SuspensionNotFound)
    return _listed_suspension(found, _emails(found.by, found.lifted_by))


def hold_of(organization_id: ObjectId, hold_id: str) -> ListedHold:
    """The organization's hold with this id. Raises HoldNotFound."""
    found = _one(Hold, organization_id, hold_id, HoldNotFound)
    return _listed_hold(found, _emails(found.by, found.released_by))


def _newest(document: type[Document], organization_id: ObjectId) -> list[Any]:
    """All that are open, and MAX_PAST that are over."""
    own = document.objects(organization=organization_id).order_by("-id")
    return [*own.filter(open=True), *own.filter(open=None).limit(MAX_PAST)]


def _one(
    document: type[Document], organization_id: ObjectId, text: str, error: type[NotFound]
) -> Any:
    found = ObjectId.is_valid(text) and document.objects(id=text, organization=organization_id)
    if not found or not found.first():
        raise error
    return found.first()


def _emails(*account_ids: ObjectId | None) -> dict[ObjectId, str]:
    accounts = Account.objects(id__in=[each for each in account_ids if each]).only("email")
    return {account.id: account.email or "a closed account" for account in accounts}


def _listed_suspension(one: Suspension, emails: Mapping[ObjectId, str]) -> ListedSuspension:
    return ListedSuspension(
        one.id,
        one.kind,
        one.cause,
        one.message,
        one.contact,
        one.note,
        one.at,
        emails.get(one.by),
        bool(one.open),
        one.lifted_at,
        emails.get(one.lifted_by),
        one.failure,
    )


def _listed_hold(one: Hold, emails: Mapping[ObjectId, str]) -> ListedHold:
    return ListedHold(
        one.id,
        one.reason,
        one.until,
        one.at,
        emails.get(one.by),
        bool(one.open),
        one.released_at,
        emails.get(one.released_by),
        [str(each).partition(" by ")[0] for each in one.refused or ()],
    )
