"""The operators of the installation, and their roles."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId

from portal.audit.trail import ERASED, installation, record
from portal.database.paging import join
from portal.database.transactions import transactional, within_transaction
from portal.documents.accounts import Account, OperatorRole
from portal.documents.api_keys import OperatorKey
from portal.documents.installation import INSTALLATION
from portal.documents.operator_links import OperatorLink
from portal.documents.sessions import Session
from portal.email_addresses import parse_email
from portal.mail import outbox
from portal.operators.errors import (
    LastOperatorAdmin,
    NoSuchAccount,
    OperatorNotFound,
    OperatorUnverified,
)
from portal.operators.mails import OPERATOR_CHANGED
from portal.permissions import OPERATOR_ROLES
from portal.web.context import RequestContext
from portal.web.idempotency import claim_key

ADDED, CHANGED, REMOVED = "operator_added", "operator_changed", "operator_removed"


@dataclass(frozen=True, slots=True)
class ListedOperator:
    """An operator as shown to others. ``seen_at`` is when a session was last used."""

    account_id: ObjectId
    email: str
    name: str
    role: str
    has_second_factor: bool
    blocked: bool
    seen_at: datetime | None


def list_operators() -> list[ListedOperator]:
    """Everybody with a role in the console, by address."""
    return _listed({})


def find_operator(account_id: str | ObjectId) -> ListedOperator:
    """The operator with this account. Raises OperatorNotFound."""
    found = _listed({"_id": ObjectId(account_id)}) if ObjectId.is_valid(account_id) else []
    if not found:
        raise OperatorNotFound
    return found[0]


def exist() -> bool:
    """Tell whether anybody is an operator."""
    return bool(Account.objects(operator_role__in=list(OPERATOR_ROLES)).only("id").first())


def names_of(ids: Iterable[ObjectId]) -> dict[ObjectId, str]:
    """The names of operators and operators' keys, also former ones, by the ids that events of the
    audit trail have of them."""
    wanted = list(ids)
    accounts = Account.objects(id__in=wanted).only("email")
    keys = OperatorKey.objects(id__in=wanted).only("name")
    return {account.id: account.email or ERASED for account in accounts} | {
        key.id: f"the key “{key.name}”" for key in keys
    }


def add_operator(email: str, role: OperatorRole, context: RequestContext) -> Account:
    """Give the account with this address a role in the console.

    Raises InvalidEmail; NoSuchAccount; OperatorUnverified, since anybody may have typed the address
    of an account; LastOperatorAdmin where it has a higher role; DuplicateRequest.
    """
    address = parse_email(email)

    @transactional
    def add() -> Account:
        account = Account.objects(email_key=address.key, closed_at=None).first()
        if account is None:
            raise NoSuchAccount(address.shown)
        claim_key(context, INSTALLATION, ADDED, account.id)
        return assign_role(account.id, role, context)

    return add()


@transactional
def set_role(account_id: ObjectId, role: OperatorRole, context: RequestContext) -> Account:
    """Give an operator another role, which their next request has.

    Raises OperatorNotFound, LastOperatorAdmin, DuplicateRequest.
    """
    claim_key(context, INSTALLATION, CHANGED, account_id)
    _check_is_operator(account_id)
    return assign_role(account_id, role, context)


@transactional
def remove_operator(account_id: ObjectId, context: RequestContext) -> Account:
    """Take an operator's role away: their next request finds no console. The account stays.

    Raises OperatorNotFound, LastOperatorAdmin, DuplicateRequest.
    """
    claim_key(context, INSTALLATION, REMOVED, account_id)
    _check_is_operator(account_id)
    return assign_role(account_id, None, context)


@within_transaction
def assign_role(
    account_id: ObjectId, role: OperatorRole | None, context: RequestContext
) -> Account:
    """Give the account the ``role``, or none; the account afterwards. All operator-admins and the
    person are told by mail. Changes nothing where it has the role already.

    Raises NoSuchAccount, OperatorUnverified, LastOperatorAdmin. Each change writes the head of the
    installation's chain: so of two at once one sees what the other did.
    """
    account = Account.objects(id=account_id, closed_at=None).first()
    if account is None:
        raise NoSuchAccount("")
    before = account.operator_role
    if before == role:
        return account
    if role and not account.verified:
        raise OperatorUnverified(account.email)
    if before == OperatorRole.ADMIN:
        check_another_admin(account.id)
    change = {"set__operator_role": role} if role else {"unset__operator_role": True}
    changed: Account = Account.objects(id=account.id).modify(new=True, **change)
    if role:
        OperatorLink.objects(first=True).delete()
    action = CHANGED if before and role else ADDED if role else REMOVED
    record(
        installation(),
        action.replace("_", ".", 1),
        context.origin,
        target=account.id,
        target_email=account.email,
        role=role,
        role_before=before,
    )
    told = Account.objects(operator_role=OperatorRole.ADMIN, id__ne=account.id).only("email")
    for email in (account.email, *(admin.email for admin in told)):
        outbox.enqueue(OPERATOR_CHANGED, email, account=account.id, role=role or "")
    return changed


@within_transaction
def check_another_admin(account_id: ObjectId) -> None:
    """Raise LastOperatorAdmin unless another account that may log in is operator-admin's. The
    caller's transaction records its change in the installation's chain."""
    others = Account.objects(operator_role=OperatorRole.ADMIN, id__ne=account_id, blocked_at=None)
    if not others.only("id").first():
        raise LastOperatorAdmin


@within_transaction
def end_role(account: Account, context: RequestContext) -> list[ObjectId]:
    """Take the role of a closing account away; an empty list, as no event names it otherwise than
    by its account. Raises LastOperatorAdmin."""
    if account.operator_role:
        assign_role(account.id, None, context)
    return []


def _check_is_operator(account_id: ObjectId) -> None:
    if not Account.objects(id=account_id, operator_role__in=list(OPERATOR_ROLES)).first():
        raise OperatorNotFound


def _listed(match: dict[str, Any]) -> list[ListedOperator]:
    last_seen = [{"$group": {"_id": None, "at": {"$max": "$seen_at"}}}]
    found = Account._get_collection().aggregate(
        [
            # The first condition is that of the partial index.
            {"$match": {"operator_role": {"$exists": True, "$in": list(OPERATOR_ROLES)}, **match}},
            {"$sort": {"email_key": 1}},
            join(Session, "_id", "account", "sessions", last_seen),
        ]
    )
    return [
        ListedOperator(
            row["_id"],
            row["email"],
            row.get("name") or "",
            row["operator_role"],
            row.get("has_second_factor", False),
            row.get("blocked_at") is not None,
            next((seen["at"] for seen in row["sessions"]), None),
        )
        for row in found
    ]
