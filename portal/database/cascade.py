"""Documents that belong to an account or organization, and are deleted with it."""

from dataclasses import dataclass

from bson import ObjectId
from mongoengine import Document

from portal.database.transactions import within_transaction
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
from portal.documents.organizations import Organization, Slug
from portal.documents.restrictions import Hold, Suspension
from portal.documents.rules_versions import RulesVersion
from portal.documents.second_factors import AuthenticatorApp, Passkey, RecoveryCodes
from portal.documents.sessions import Browser, Session
from portal.documents.support import SupportGrant


@dataclass(frozen=True, slots=True)
class BelongsTo:
    """A class of documents whose ``field`` is the id of their owner."""

    document: type[Document]
    owner: type[Document]
    field: str


BELONGS_TO = (
    BelongsTo(Slug, Organization, "organization"),
    BelongsTo(Membership, Organization, "organization"),
    BelongsTo(ApiKey, Organization, "organization"),
    BelongsTo(Invitation, Organization, "organization"),
    BelongsTo(Credential, Organization, "organization"),
    BelongsTo(SupportGrant, Organization, "organization"),
    BelongsTo(OrganizationNote, Organization, "organization"),
    BelongsTo(OrganizationFigures, Organization, "_id"),
    BelongsTo(Job, Organization, "organization"),
    BelongsTo(JobItem, Organization, "organization"),
    BelongsTo(DocumentView, Organization, "organization"),
    BelongsTo(IndexSuggestion, Organization, "organization"),
    BelongsTo(RulesVersion, Organization, "organization"),
    BelongsTo(LimitNotice, Organization, "organization"),
    BelongsTo(Suspension, Organization, "organization"),
    BelongsTo(Hold, Organization, "organization"),
    BelongsTo(Membership, Account, "account"),
    BelongsTo(DocumentView, Account, "account"),
    BelongsTo(Session, Account, "account"),
    BelongsTo(Browser, Account, "account"),
    BelongsTo(Passkey, Account, "account"),
    BelongsTo(AuthenticatorApp, Account, "_id"),
    BelongsTo(RecoveryCodes, Account, "_id"),
)


@within_transaction
def delete_belongings(owner: type[Document], owner_id: ObjectId) -> None:
    """Delete every document that belongs to the ``owner`` with this id."""
    for belongs in BELONGS_TO:
        if belongs.owner is owner:
            belongs.document.objects(__raw__={belongs.field: owner_id}).delete()
