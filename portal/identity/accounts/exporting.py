"""Exporting all that is stored of a person."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from bson import ObjectId
from mongoengine.queryset import QuerySet
from mongoengine.queryset.visitor import Q

from portal.audit.trail import events_about, record
from portal.database.transactions import transaction
from portal.documents.accounts import Account
from portal.documents.api_keys import ApiKey
from portal.documents.credentials import Credential
from portal.documents.document_views import DocumentView
from portal.documents.memberships import Invitation, InvitationState, Membership
from portal.documents.organizations import Organization
from portal.documents.second_factors import AuthenticatorApp, Passkey
from portal.documents.sessions import Browser, Session
from portal.web.context import RequestContext
from portal.web.streaming import File, Row, streamed

_ACCOUNT = ("email", "name", "time_zone", "theme", "created_at", "verified_at",
            "password_changed_at", "operator_role", "blocked_at", "factors_reset_at")  # fmt: skip
_SESSION = ("public_id", "kind", "created_at", "seen_at", "expires_at", "address", "user_agent")
_INVITATION = ("organization", "role", "state", "created_at", "ended_at")
_BROWSER = ("first_seen_at", "last_seen_at", "trusted_until")
_PASSKEY = ("name", "added_at", "used_at")
_API_KEY = ("organization", "name", "created_at")
_CREDENTIAL = ("organization", "name", "created_at")
_VIEW = ("organization", "name", "query", "created_at")
_EVENT = ("at", "chain", "seq", "action", "actor", "actor_name", "target", "session",
          "request_id", "details")  # fmt: skip
_BETWEEN = ",\n"


def export_account(account_id: ObjectId, context: RequestContext) -> Iterator[str]:
    """The parts of a JSON file with what is stored of the account's person: no secret, no hash, and
    of others no e-mail address. The export itself is in the audit trail, and in the file. Raises
    Overloaded."""

    def begin() -> str:
        transaction(
            lambda: record(Account.objects.get(id=account_id), "account.exported", context.origin)
        )
        stored = json.dumps(_all_but_events(account_id), indent=2, ensure_ascii=False)
        return stored.removesuffix("\n}") + ',\n  "events": [\n'

    def read(last: Row | None, most: int) -> list[Row]:
        return events_about(account_id, last["_id"] if last else None, most)

    def render(events: Iterable[Row]) -> str:
        lines = (json.dumps(_event(event, account_id), ensure_ascii=False) for event in events)
        return _BETWEEN.join(lines)

    log_context = {"request_id": context.request_id, "account": str(account_id)}
    return streamed(File("account", begin, read, render, "\n  ]\n}\n", _BETWEEN, log_context))


def _all_but_events(account_id: ObjectId) -> Row:
    account = Account._get_collection().find_one({"_id": account_id})
    app = AuthenticatorApp.objects(id=account_id).only("added_at").first()
    return {
        "account": {"id": str(account_id), **_picked(account, _ACCOUNT)},
        "sessions": _listed(Session.objects(account=account_id), _SESSION),
        "memberships": _memberships(account_id),
        "second_factors": {
            "authenticator_app_since": _plain(app.added_at) if app else None,
            "passkeys": _listed(Passkey.objects(account=account_id), _PASSKEY),
        },
        "browsers": _listed(Browser.objects(account=account_id), _BROWSER),
        "invitations": _listed(_invitations(account), _INVITATION),
        "api_keys": _listed(ApiKey.objects(created_by=account_id), _API_KEY),
        "credentials": _listed(Credential.objects(created_by=account_id), _CREDENTIAL),
        "views_of_documents": _listed(DocumentView.objects(account=account_id), _VIEW),
    }


def _invitations(account: Row) -> QuerySet:
    """The invitations to the person and from them; of the latter no address is exported."""
    to_them = Q(account=account["_id"]) | Q(
        email_key=account["email_key"], state=InvitationState.OPEN
    )
    by_them = Q(inviter=account["_id"], state=InvitationState.OPEN)
    return Invitation.objects(to_them | by_them)


def _memberships(account_id: ObjectId) -> list[Row]:
    memberships = list(Membership.objects(account=account_id))
    ids = [membership.organization for membership in memberships]
    names = {found.id: found.name for found in Organization.objects(id__in=ids).only("name")}
    return [
        {
            "organization": str(membership.organization),
            "organization_name": names.get(membership.organization),
            "role": membership.role,
            "since": _plain(membership.since),
        }
        for membership in memberships
    ]


def _event(event: Row, account_id: ObjectId) -> Row:
    own = []
    if event.get("actor") == account_id:
        own += ["email", "address"]
    if event.get("target") == account_id:
        own.append("target_email")
    personal = event.get("personal", {})
    values = {name: personal[name].get("value") for name in own if name in personal}
    return _picked(event, _EVENT) | values


def _listed(found: QuerySet, names: tuple[str, ...]) -> list[Row]:
    return [_picked(row, names) for row in found.as_pymongo()]


def _picked(row: Row, names: tuple[str, ...]) -> Row:
    return {name: _plain(row[name]) for name in names if row.get(name) is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    return str(value) if isinstance(value, ObjectId) else value
