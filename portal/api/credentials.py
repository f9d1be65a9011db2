"""An organization's credentials: MongoDB users, managed by programs with an account's token."""

from datetime import timedelta
from typing import Any

from portal.api import credential_schemas, replay
from portal.api.guard import OF_ACCESS, ApiBlueprint, access_by_name, logged_in
from portal.api.replay import OF_CHANGES, Answer, first_target, takes_key
from portal.documents.organizations import Organization
from portal.organizations.access.lookup import Access
from portal.organizations.credentials import managing, travelling
from portal.organizations.credentials.errors import (
    CredentialNotFound,
    InvalidCredentialName,
    InvalidReach,
    MissingRights,
    NoOverlap,
    NotProven,
    NotTravelling,
    OverlapRunning,
    SharedCollection,
    StillInUse,
    TooManyCredentials,
)
from portal.organizations.credentials.managing import (
    ENDED,
    MADE,
    REVOKED,
    ROTATED,
    NewConnectionString,
)
from portal.organizations.lifecycle.errors import OperationInProgress
from portal.web.errors import TooManyAttempts
from portal.web.requests import request_context

org_credentials = ApiBlueprint(
    "org_credentials", __name__, url_prefix="/org", description="MongoDB users"
)
_OF_MAKING = (
    TooManyAttempts,
    SharedCollection,
    MissingRights,
    OperationInProgress,
    NotProven,
)


@org_credentials.get("/<name:name>/credentials", refusals=OF_ACCESS)
@logged_in
@org_credentials.response(200, credential_schemas.CredentialsAnswer)
def list_credentials(name: str) -> dict[str, Any]:
    """List the MongoDB users of an organization

    All of them, by name, with their open connections.
    """
    access = access_by_name(name, "credentials.manage")
    return {"credentials": managing.credentials_of(access.organization)}


@org_credentials.post(
    "/<name:name>/credentials",
    refusals=(*OF_CHANGES, *_OF_MAKING, InvalidCredentialName, InvalidReach, TooManyCredentials),
)
@takes_key
@logged_in
@org_credentials.arguments(credential_schemas.NewCredentialBody)
@org_credentials.response(201, credential_schemas.NewConnectionStringAnswer)
def create_credential(body: dict[str, Any], name: str) -> dict[str, Any]:
    """Make a MongoDB user

    It reaches the organization's collection and nothing else. The user has signed in and read on
    each member that is up when this answers; the connection string is told in this answer and kept
    nowhere. It sees the values of sensitive fields, too. Repeated with its `Idempotency-Key` the
    call is answered without it: rotate it then.
    """
    access = access_by_name(name, "credentials.manage")
    new = managing.create_credential(access, body["name"], body["reach"], request_context())
    return _with_secret(access, new)


@org_credentials.post(
    "/<name:name>/credentials/<credential_id>/rotate",
    refusals=(*OF_CHANGES, *_OF_MAKING, CredentialNotFound, OverlapRunning),
)
@takes_key
@logged_in
@org_credentials.arguments(credential_schemas.RotateCredentialBody, required=False)
@org_credentials.response(200, credential_schemas.NewConnectionStringAnswer)
def rotate_credential(body: dict[str, int], name: str, credential_id: str) -> dict[str, Any]:
    """Give a credential a second MongoDB user

    The old one works for `overlap_seconds` beside it, or until it is ended. The connection string
    is told once, and a repeated call is answered without it.
    """
    access = access_by_name(name, "credentials.manage")
    credential = managing.credential_of(access.organization, credential_id)
    overlap = timedelta(seconds=body["overlap_seconds"]) if body else None
    new = managing.rotate_credential(access, credential.id, overlap, request_context())
    return _with_secret(access, new)


@org_credentials.post(
    "/<name:name>/credentials/<credential_id>/prepare-move",
    refusals=(*OF_CHANGES, *_OF_MAKING, CredentialNotFound, NotTravelling),
)
@takes_key
@logged_in
@org_credentials.response(200, credential_schemas.NewConnectionStringAnswer)
def prepare_credential(name: str, credential_id: str) -> dict[str, Any]:
    """Give a credential a MongoDB user where the organization moves to

    It has signed in there, and reaches the collection from the switch of the move on; the switch
    waits until each credential has one. The connection string is told once, and a repeated call is
    answered without it. One that was prepared before ends.
    """
    access = access_by_name(name, "credentials.manage")
    credential = managing.credential_of(access.organization, credential_id)
    new = travelling.prepare_credential(access, credential.id, request_context())
    return _with_secret(access, new)


@org_credentials.post(
    "/<name:name>/credentials/<credential_id>/end-overlap",
    refusals=(*OF_CHANGES, CredentialNotFound, NoOverlap, StillInUse),
)
@takes_key
@logged_in
@org_credentials.arguments(credential_schemas.EndOverlapBody, required=False)
@org_credentials.response(200, credential_schemas.CredentialAnswer)
def end_overlap(body: dict[str, bool], name: str, credential_id: str) -> dict[str, Any]:
    """End the old MongoDB user of a credential that is rotated

    While it has open connections only with `although_in_use`; they are refused at once.
    """
    access = access_by_name(name, "credentials.manage")
    credential = managing.credential_of(access.organization, credential_id)
    anyway = body["although_in_use"]
    managing.end_overlap(access, credential.id, request_context(), although_in_use=anyway)
    return {"credential": managing.credential_of(access.organization, credential.id)}


@org_credentials.delete(
    "/<name:name>/credentials/<credential_id>", refusals=(*OF_CHANGES, CredentialNotFound)
)
@takes_key
@logged_in
@org_credentials.response(200, credential_schemas.RevokedAnswer)
def revoke_credential(name: str, credential_id: str) -> dict[str, Any]:
    """Revoke a credential

    Its MongoDB users are dropped, and their open connections refused. `pending` says whether
    MongoDB did not answer: then it is tried again until it is done.
    """
    access = access_by_name(name, "credentials.manage")
    credential = managing.credential_of(access.organization, credential_id)
    _, done = managing.revoke_credential(access, credential.id, request_context())
    return {"pending": not done}


def _with_secret(access: Access, new: NewConnectionString) -> dict[str, Any]:
    return {
        "credential": managing.credential_of(access.organization, new.credential),
        "connection_string": new.uri,
        "proof": new.proof,
    }


def _replay_make(organization: Organization) -> Answer:
    return _current(organization), 201, {}


def _replay_change(organization: Organization) -> Answer:
    return _current(organization), 200, {}


def _replay_revoke(organization: Organization) -> Answer:
    return {"pending": managing.is_pending(first_target())}, 200, {}


def _current(organization: Organization) -> dict[str, Any]:
    """The credential that the first call made or changed, as it is now."""
    credential_id = first_target()
    access = access_by_name(organization.slug, "credentials.manage")
    return {"credential": managing.credential_of(access.organization, credential_id)}


replay.install(
    org_credentials,
    {
        MADE: (credential_schemas.NewConnectionStringAnswer, _replay_make),
        ROTATED: (credential_schemas.NewConnectionStringAnswer, _replay_change),
        travelling.PREPARED: (credential_schemas.NewConnectionStringAnswer, _replay_change),
        ENDED: (credential_schemas.CredentialAnswer, _replay_change),
        REVOKED: (credential_schemas.RevokedAnswer, _replay_revoke),
    },
)
