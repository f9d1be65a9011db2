"""Documents that outlived the account or organization they belong to.

The transaction that ends an account or organization deletes them, so any that are left are damage:
by a change in the database, say, or a partly restored backup.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from bson import ObjectId
from mongoengine import Document

from portal.database.cascade import BELONGS_TO
from portal.database.paging import in_batches
from portal.database.transactions import transaction, transactional, within_transaction
from portal.doctor.findings import Finding, Kind, Row, found_by
from portal.documents.accounts import Account
from portal.documents.api_keys import ApiKey
from portal.documents.credentials import Credential
from portal.documents.document_views import DocumentView
from portal.documents.figures import OrganizationFigures
from portal.documents.index_suggestions import IndexSuggestion
from portal.documents.jobs import Job, JobItem
from portal.documents.limits import LimitNotice
from portal.documents.memberships import Invitation, Membership
from portal.documents.organization_notes import OrganizationNote
from portal.documents.organizations import Organization, OrganizationState
from portal.documents.restrictions import Hold, Suspension
from portal.documents.rules_versions import RulesVersion
from portal.documents.second_factors import AuthenticatorApp, Passkey, RecoveryCodes
from portal.documents.sessions import Browser, Session
from portal.documents.support import SupportGrant

_MISSING = "does not exist"
_ADVICE = (
    "--repair deletes what belongs to a closed account or a purged organization. Where the account "
    "or organization does not exist at all, a backup may bring it back, and then it needs these: "
    "delete them by hand if nothing will."
)
DEAD_MEMBERSHIP = Kind(
    "dead_membership", "Memberships of accounts or organizations that don't exist", _ADVICE
)
DEAD_SUPPORT_GRANT = Kind(
    "dead_support_grant", "Support grants of organizations that don't exist", _ADVICE
)
DEAD_KEY = Kind("dead_key", "API keys of organizations that don't exist", _ADVICE)
DEAD_CREDENTIAL = Kind("dead_credential", "Credentials of organizations that don't exist", _ADVICE)
DEAD_INVITATION = Kind("dead_invitation", "Invitations to organizations that don't exist", _ADVICE)
DEAD_JOB = Kind("dead_job", "Jobs of organizations that don't exist", _ADVICE)
DEAD_JOB_ITEM = Kind("dead_job_item", "States in jobs of organizations that don't exist", _ADVICE)
DEAD_NOTE = Kind("dead_note", "Operators' notes about organizations that don't exist", _ADVICE)
DEAD_VIEW = Kind(
    "dead_view", "Views of documents of accounts or organizations that don't exist", _ADVICE
)
DEAD_SUGGESTION = Kind(
    "dead_suggestion", "Suggested indexes of organizations that don't exist", _ADVICE
)
DEAD_RULES = Kind("dead_rules", "Former rules of organizations that don't exist", _ADVICE)
DEAD_RESTRICTION = Kind(
    "dead_restriction", "Suspensions and holds of organizations that don't exist", _ADVICE
)
DEAD_FACTOR = Kind("dead_factor", "Second factors of accounts that don't exist", _ADVICE)
DEAD_SESSION = Kind(
    "dead_session", "Sessions of accounts that don't exist", "--repair deletes them."
)
DEAD_FIGURES = Kind(
    "dead_figures", "Figures of organizations that don't exist", "--repair deletes them."
)
DEAD_BROWSER = Kind(
    "dead_browser", "Known browsers of accounts that don't exist", "--repair deletes them."
)


@dataclass(frozen=True, slots=True)
class Owner:
    """A class of documents that others belong to. One whose ``field`` ``is_over`` is a tombstone,
    which is final."""

    document: type[Document]
    word: str
    field: str
    is_over: Callable[[Any], bool]
    over: str


@dataclass(frozen=True, slots=True)
class Belonging:
    """A class of documents that belong to others. ``replaceable`` ones come again, with the
    next log-in or measurement; ``optional`` ones need not have each owner, or any."""

    word: str
    document: type[Document]
    kind: Kind
    replaceable: bool = False
    optional: bool = False

    @property
    def owners(self) -> dict[str, Owner]:
        """The classes that they belong to, by field."""
        return {
            belongs.field: OWNERS[belongs.owner]
            for belongs in BELONGS_TO
            if belongs.document is self.document
        }


ACCOUNT = Owner(Account, "account", "closed_at", lambda at: at is not None, "is closed")
ORGANIZATION = Owner(
    Organization, "organization", "state", lambda it: it == OrganizationState.PURGED, "is purged"
)
OWNERS = {owner.document: owner for owner in (ACCOUNT, ORGANIZATION)}

# Slugs have checks of their own.
BELONGINGS = (
    Belonging("membership", Membership, DEAD_MEMBERSHIP),
    Belonging("key", ApiKey, DEAD_KEY),
    Belonging("credential", Credential, DEAD_CREDENTIAL),
    Belonging("support grant", SupportGrant, DEAD_SUPPORT_GRANT),
    Belonging("invitation", Invitation, DEAD_INVITATION),
    Belonging("job", Job, DEAD_JOB, optional=True),
    Belonging("state in a job", JobItem, DEAD_JOB_ITEM),
    Belonging("view", DocumentView, DEAD_VIEW, optional=True),
    Belonging("note", OrganizationNote, DEAD_NOTE),
    Belonging("suggested index", IndexSuggestion, DEAD_SUGGESTION),
    Belonging("former rules", RulesVersion, DEAD_RULES),
    Belonging("suspension", Suspension, DEAD_RESTRICTION),
    Belonging("hold", Hold, DEAD_RESTRICTION),
    Belonging("authenticator app", AuthenticatorApp, DEAD_FACTOR),
    Belonging("passkey", Passkey, DEAD_FACTOR),
    Belonging("recovery codes", RecoveryCodes, DEAD_FACTOR),
    # Pending log-ins among them. The stored id is a hash, so it may be shown.
    Belonging("session", Session, DEAD_SESSION, replaceable=True),
    Belonging("browser", Browser, DEAD_BROWSER, replaceable=True),
    Belonging("figures", OrganizationFigures, DEAD_FIGURES, replaceable=True),
    Belonging("notice of a limit", LimitNotice, DEAD_FIGURES, replaceable=True),
)


def find_dead() -> Iterator[Finding]:
    """Documents of accounts and organizations that don't exist any more."""
    for belonging in BELONGINGS:
        owned = [{field: {"$exists": True}} for field in belonging.owners]
        for page in in_batches(
            belonging.document, {"$or": owned} if belonging.optional else {}, *belonging.owners
        ):
            for row in _suspects(belonging, page):
                yield from _dead(belonging, row["_id"])


def living(owner: Owner, ids: set[Any]) -> set[Any]:
    """The ``ids`` that exist and aren't tombstones."""
    rows = found_by(owner.document, "_id", ids, owner.field)
    return {row["_id"] for row in rows if not owner.is_over(row.get(owner.field))}


def _suspects(belonging: Belonging, page: list[Row]) -> Iterator[Row]:
    alive = {
        field: living(owner, {row.get(field) for row in page})
        for field, owner in belonging.owners.items()
    }
    for row in page:
        needed = {field for field in alive if field in row or not belonging.optional}
        if any(row.get(field) not in alive[field] for field in needed):
            yield row


@dataclass(frozen=True, slots=True)
class _Death:
    """The reason why a document is dead; a ``final`` one doesn't change any more."""

    words: str
    final: bool
    organization: ObjectId | None


def _dead(belonging: Belonging, document_id: Any) -> Iterator[Finding]:
    death = transaction(partial(_death_of, belonging, document_id))
    if death is None:
        return
    safe = death.final or belonging.replaceable
    repair = partial(_delete, belonging, document_id) if safe else None
    yield Finding(belonging.kind, str(document_id), death.words, death.organization, repair)


@within_transaction
def _death_of(belonging: Belonging, document_id: Any) -> _Death | None:
    row = belonging.document._get_collection().find_one(
        {"_id": document_id}, dict.fromkeys(belonging.owners, 1)
    )
    if row is None:
        return None
    ends = [
        (end != _MISSING, f"{belonging.word} of {owner.word} {row.get(field)}, which {end}")
        for field, owner in belonging.owners.items()
        if field in row or not belonging.optional
        if (end := _end_of(owner, row.get(field)))
    ]
    if not ends:
        return None
    final, words = max(ends)  # one final end of two is enough
    return _Death(words, final, row.get("organization"))


def _end_of(owner: Owner, document_id: Any) -> str | None:
    found = owner.document._get_collection().find_one({"_id": document_id}, {owner.field: 1})
    if found is None:
        return _MISSING
    return owner.over if owner.is_over(found.get(owner.field)) else None


@transactional
def _delete(belonging: Belonging, document_id: Any) -> str | None:
    # A tombstone is final, so it still is one at the commit; and nothing is lost with a replaceable
    # document whose account is restored at that moment.
    death = _death_of(belonging, document_id)
    if death is None or not (death.final or belonging.replaceable):
        return None
    deleted = belonging.document._get_collection().delete_one({"_id": document_id}).deleted_count
    return "deleted" if deleted else None
