"""The operators themselves and their keys, for programs."""

from typing import Any

from bson import ObjectId

from portal.api.guard import ApiBlueprint
from portal.api.operator_role_schemas import (
    NewOperatorBody,
    NewOperatorKeyAnswer,
    NewOperatorKeyBody,
    OperatorAnswer,
    OperatorKeysAnswer,
    OperatorRoleBody,
    OperatorsAnswer,
)
from portal.api.operators import (
    OF_OPERATOR_CHANGES,
    OF_OPERATORS,
    by_operator,
    install_replays,
    operator_by_request,
    success,
)
from portal.api.replay import Answer, takes_key
from portal.api.schemas import Success
from portal.documents.accounts import OperatorRole
from portal.documents.idempotency import IdempotencyRecord
from portal.email_addresses import InvalidEmail
from portal.errors import NotFound
from portal.operators import keys, roles
from portal.operators.access import Operator
from portal.operators.errors import (
    InvalidLastDay,
    InvalidOperatorKeyName,
    InvalidOperatorKeyRole,
    LastOperatorAdmin,
    NoSuchAccount,
    OperatorKeyNotFound,
    OperatorNotFound,
    OperatorUnverified,
    RecentLogInRequired,
    TooManyOperatorKeys,
)

_OF_CHANGES = (*OF_OPERATOR_CHANGES, RecentLogInRequired)

admin_operators = ApiBlueprint(
    "admin_operators", __name__, url_prefix="/admin", description="Operators"
)


@admin_operators.get("/operators", refusals=OF_OPERATORS)
@admin_operators.response(200, OperatorsAnswer)
def list_operators() -> dict[str, Any]:
    """List the operators

    Everybody with a role in the console, by address.
    """
    operator_by_request("console.view")
    return {"operators": roles.list_operators()}


@admin_operators.post(
    "/operators",
    refusals=(
        *_OF_CHANGES,
        InvalidEmail,
        NoSuchAccount,
        OperatorUnverified,
        LastOperatorAdmin,
    ),
)
@by_operator("operators.manage")
@takes_key
@admin_operators.arguments(NewOperatorBody)
@admin_operators.response(201, OperatorAnswer)
def add_operator(operator: Operator, body: dict[str, str]) -> dict[str, Any]:
    """Add an operator

    Gives the account with this address a role in the console, from its next request on; it gets in
    once it has a second factor. The person and all operator-admins are told by mail.
    """
    added = roles.add_operator(body["email"], OperatorRole(body["role"]), operator.context)
    return {"operator": roles.find_operator(added.id)}


@admin_operators.put(
    "/operators/<account_id>",
    refusals=(*_OF_CHANGES, OperatorNotFound, LastOperatorAdmin),
)
@by_operator("operators.manage")
@takes_key
@admin_operators.arguments(OperatorRoleBody)
@admin_operators.response(200, OperatorAnswer)
def set_operator_role(operator: Operator, body: dict[str, str], account_id: str) -> dict[str, Any]:
    """Give an operator another role

    It counts from their next request on, in sessions that are open too. The last operator-admin
    keeps that role.
    """
    other = roles.find_operator(account_id)
    roles.set_role(other.account_id, OperatorRole(body["role"]), operator.context)
    return {"operator": roles.find_operator(other.account_id)}


@admin_operators.delete(
    "/operators/<account_id>",
    refusals=(*_OF_CHANGES, OperatorNotFound, LastOperatorAdmin),
)
@takes_key
@admin_operators.response(200, Success)
def remove_operator(account_id: str) -> dict[str, Any]:
    """Remove an operator

    Takes the role away: to their next request there is no console. The account stays.
    """
    operator = operator_by_request("operators.manage")
    roles.remove_operator(roles.find_operator(account_id).account_id, operator.context)
    return {}


@admin_operators.get("/keys", refusals=OF_OPERATORS)
@admin_operators.response(200, OperatorKeysAnswer)
def list_operator_keys() -> dict[str, Any]:
    """List the operators’ keys

    Those that are not revoked, by name, without their secrets.
    """
    operator_by_request("console.view")
    return {"keys": keys.list_keys()}


@admin_operators.post(
    "/keys",
    refusals=(
        *_OF_CHANGES,
        InvalidOperatorKeyName,
        InvalidOperatorKeyRole,
        InvalidLastDay,
        TooManyOperatorKeys,
    ),
)
@by_operator("operators.manage")
@takes_key
@admin_operators.arguments(NewOperatorKeyBody)
@admin_operators.response(201, NewOperatorKeyAnswer)
def create_operator_key(operator: Operator, body: dict[str, Any]) -> dict[str, Any]:
    """Make an operators’ key

    By it a program does under `/admin` what its role may, and nothing else. The secret is told in
    this answer and kept nowhere: repeated with its `Idempotency-Key` the call is answered without.
    """
    made = keys.create_key(body["name"], body["role"], body["expires_on"], operator.context)
    return {"key": keys.find_key(made.id), "secret": made.credential}


@admin_operators.delete("/keys/<key_id>", refusals=(*_OF_CHANGES, OperatorKeyNotFound))
@takes_key
@admin_operators.response(200, Success)
def revoke_operator_key(key_id: str) -> dict[str, Any]:
    """Revoke an operators’ key

    The next request that comes by it is refused.
    """
    operator = operator_by_request("operators.manage")
    keys.revoke_key(key_id, operator.context)
    return {}


def _changed_before(record: IdempotencyRecord) -> ObjectId:
    """The id that the first call changed. Raises NotFound where only an older portal knows."""
    if record.operation is None:
        raise NotFound
    return record.operation


def _replay_add(record: IdempotencyRecord) -> Answer:
    return {"operator": roles.find_operator(_changed_before(record))}, 201, {}


def _replay_role(record: IdempotencyRecord) -> Answer:
    return {"operator": roles.find_operator(_changed_before(record))}, 200, {}


def _replay_key(record: IdempotencyRecord) -> Answer:
    return {"key": keys.find_key(_changed_before(record))}, 201, {}


install_replays(
    admin_operators,
    {
        "add_operator": (OperatorAnswer, _replay_add),
        "set_operator_role": (OperatorAnswer, _replay_role),
        "remove_operator": (Success, success),
        "create_operator_key": (NewOperatorKeyAnswer, _replay_key),
        "revoke_operator_key": (Success, success),
    },
)
