"""An organization's API keys, managed by programs with an account's token."""

from datetime import timedelta
from typing import Any

from portal.api import api_key_schemas, replay, schemas
from portal.api.guard import OF_ACCESS, ApiBlueprint, access_by_name, logged_in
from portal.api.replay import OF_CHANGES, Answer, first_target, takes_key
from portal.documents.organizations import Organization
from portal.identity.api_keys.errors import ApiKeyNotFound
from portal.organizations.access.lookup import Access
from portal.organizations.api_keys import managing
from portal.organizations.api_keys.errors import (
    ApiKeyExpired,
    InvalidApiKeyName,
    InvalidExpiry,
    InvalidGrant,
    TooManyApiKeys,
)
from portal.organizations.api_keys.managing import MADE, REVOKED, ROTATED, NewSecret
from portal.web.errors import TooManyAttempts
from portal.web.requests import request_context

org_keys = ApiBlueprint("org_keys", __name__, url_prefix="/org", description="API keys")


@org_keys.get("/<name:name>/keys", refusals=OF_ACCESS)
@logged_in
@org_keys.response(200, api_key_schemas.KeysAnswer)
def list_keys(name: str) -> dict[str, Any]:
    """List the keys of an organization

    All of them, by name; no organization has more than 100.
    """
    access = access_by_name(name, "keys.manage")
    return {"keys": managing.keys_of(access.organization)}


@org_keys.post(
    "/<name:name>/keys",
    refusals=(
        *OF_CHANGES,
        InvalidApiKeyName,
        InvalidGrant,
        InvalidExpiry,
        TooManyAttempts,
        TooManyApiKeys,
    ),
)
@takes_key
@logged_in
@org_keys.arguments(api_key_schemas.NewKeyBody)
@org_keys.response(201, api_key_schemas.NewSecretAnswer)
def create_key(body: dict[str, Any], name: str) -> dict[str, Any]:
    """Make a key

    With a role or with permissions; a key is never an owner, and makes no keys. The secret is
    told in this answer and kept nowhere. Repeated with its `Idempotency-Key` the call makes no
    second key and is answered without the secret: rotate the key then, for another.
    """
    access = access_by_name(name, "keys.manage")
    created = managing.create_key(
        access,
        body["name"],
        body.get("role"),
        body.get("permissions", []),
        body.get("expires_on"),
        request_context(),
    )
    return _with_secret(access, created)


@org_keys.post(
    "/<name:name>/keys/<key_id>/rotate", refusals=(*OF_CHANGES, ApiKeyNotFound, ApiKeyExpired)
)
@takes_key
@logged_in
@org_keys.arguments(api_key_schemas.RotateBody, required=False)
@org_keys.response(200, api_key_schemas.NewSecretAnswer)
def rotate_key(body: dict[str, int], name: str, key_id: str) -> dict[str, Any]:
    """Give a key another secret

    The old one works for `overlap_seconds` beside it. As when a key is made, the secret is told
    once, and a repeated call is answered without it.
    """
    access = access_by_name(name, "keys.manage")
    key = managing.key_of(access.organization, key_id)
    overlap = timedelta(seconds=body["overlap_seconds"])
    return _with_secret(access, managing.rotate_key(access, key.id, overlap, request_context()))


@org_keys.delete("/<name:name>/keys/<key_id>", refusals=(*OF_CHANGES, ApiKeyNotFound))
@takes_key
@logged_in
@org_keys.response(200, schemas.Success)
def revoke_key(name: str, key_id: str) -> dict[str, Any]:
    """Revoke a key

    The next request that comes by it is refused.
    """
    access = access_by_name(name, "keys.manage")
    managing.revoke_key(access, managing.key_of(access.organization, key_id).id, request_context())
    return {}


def _with_secret(access: Access, new: NewSecret) -> dict[str, Any]:
    return {"key": managing.key_of(access.organization, new.key.id), "secret": new.credential}


def _replay_make(organization: Organization) -> Answer:
    return _current_key(organization), 201, {}


def _replay_rotate(organization: Organization) -> Answer:
    return _current_key(organization), 200, {}


def _current_key(organization: Organization) -> dict[str, Any]:
    """The API key that the first call created or rotated, as it is now."""
    key_id = first_target()
    access = access_by_name(organization.slug, "keys.manage")
    return {"key": managing.key_of(access.organization, key_id)}


replay.install(
    org_keys,
    {
        MADE: (api_key_schemas.NewSecretAnswer, _replay_make),
        ROTATED: (api_key_schemas.NewSecretAnswer, _replay_rotate),
        REVOKED: (schemas.Success, replay.success),
    },
)
