"""One-time links that make somebody an operator: that of the first start, and those that a command
prints for people who have no account."""

import os
import secrets
from dataclasses import dataclass
from datetime import timedelta

import click
from bson import ObjectId

from portal import clock, settings
from portal.audit.trail import installation, record
from portal.database.background import start_loop
from portal.database.transactions import transactional, within_transaction
from portal.documents.accounts import Account, OperatorRole
from portal.documents.operator_links import OperatorLink
from portal.email_addresses import parse_email
from portal.errors import check_all
from portal.hashing import hash_secret
from portal.identity.accounts.creating import NewAccount, create_account
from portal.identity.accounts.errors import EmailTaken
from portal.identity.authentication import passwords
from portal.identity.authentication.attempts import limit_network
from portal.identity.sessions.principals import AccountPrincipal
from portal.mail.links import without_surroundings
from portal.mail.recipients import parse_recipient
from portal.operators import roles
from portal.operators.errors import (
    AddressHasAccount,
    LinkForAnotherAddress,
    OperatorLinkInvalid,
)
from portal.settings.instance import SHOWS_FIRST_LINK
from portal.web.context import RequestContext
from portal.web.idempotency import claim_key

FIRST_VALID_FOR = timedelta(hours=1)
VALID_FOR = timedelta(hours=24)
START = timedelta(minutes=1)
"""The time within which several portals start together: one of them makes a link."""
ENTERED = "operator_entered"


@dataclass(frozen=True, slots=True)
class AddedOperator:
    """The operator that a command added: an ``account`` with the role; else a one-time ``link``,
    which is shown only here."""

    email: str
    account: Account | None
    link: str | None


def make_first_link() -> str | None:
    """The link that makes whoever follows it the first operator-admin, once, within an hour; it
    replaces an earlier one. ``None`` where somebody is an operator, or another portal that starts
    at the same time made one."""
    if roles.exist():
        return None
    token = secrets.token_urlsafe(32)
    return _url(token) if _insert_first(token) else None


def start() -> None:
    """Print that link in a worker of ``make run``, if there is one; call it after the fork. Other
    portals don't: their logs have more readers than their machine."""
    if os.environ.get(SHOWS_FIRST_LINK):
        start_loop("operator_link", _print_first_link, pause_seconds=5, once=True)


def _print_first_link() -> None:
    if link := make_first_link():
        click.echo(
            f"Nobody looks after this portal yet. Become its operator, within an hour: {link}",
            err=True,
        )


@transactional
def _insert_first(token: str) -> bool:
    subject, now = installation(), clock.now()
    earlier = OperatorLink.objects(first=True).first()
    if roles.exist() or (earlier and earlier.created_at > now - START):
        return False
    OperatorLink.objects(first=True).delete()
    link = OperatorLink(
        id=hash_secret(token),
        account=ObjectId(),
        first=True,
        role=OperatorRole.ADMIN,
        created_at=now,
        expires_at=now + FIRST_VALID_FOR,
    )
    link.insert()
    # Of several at once one appends to the chain, and the others see its link.
    record(subject, "operator.link_made", RequestContext().origin, role=link.role)
    return True


def create_operator(email: str, role: OperatorRole, context: RequestContext) -> AddedOperator:
    """Make whoever has this address an operator: at once where there is an account with it, else by
    a link that works once, for 24 hours, in place of earlier ones for the address.

    For commands: whoever follows the link counts as the owner of the address, unproved. Raises
    InvalidEmail, OperatorUnverified, LastOperatorAdmin.
    """
    address = parse_recipient(email)
    token = secrets.token_urlsafe(32)

    @transactional
    def add() -> Account | None:
        account = Account.objects(email_key=address.key, closed_at=None).first()
        if account:
            return roles.assign_role(account.id, role, context)
        now = clock.now()
        OperatorLink.objects(email_key=address.key).delete()
        link = OperatorLink(
            id=hash_secret(token),
            account=ObjectId(),
            email=address.shown,
            email_key=address.key,
            role=role,
            created_at=now,
            expires_at=now + VALID_FOR,
        )
        link.insert()
        record(
            installation(),
            "operator.link_made",
            context.origin,
            target=link.account,
            target_email=address.shown,
            role=role,
        )
        return None

    account = add()
    return AddedOperator(address.shown, account, None if account else _url(token))


def find_link(token: str) -> OperatorLink:
    """The link with this secret, unused. Raises OperatorLinkInvalid."""
    own_id = hash_secret(without_surroundings(token))
    link = OperatorLink.objects(id=own_id, expires_at__gt=clock.now()).first()
    if link is None or (link.first and roles.exist()):
        raise OperatorLinkInvalid
    return link


def enter(
    token: str, email: str, password: str, context: RequestContext, user_agent: str
) -> AccountPrincipal:
    """Create an account by the link, whose address is that of the link or else ``email``, with the
    role, and open a session for the browser. The link is used up then.

    Raises OperatorLinkInvalid; InvalidEmail, WeakPassword (or SeveralErrors of them);
    AddressHasAccount; TooManyAttempts, Overloaded.
    """
    link = find_link(token)
    limit_network(context)
    address, _ = check_all(
        lambda: parse_recipient(link.email or email),
        lambda: passwords.check_password(password, link.email or email),
    )
    new = NewAccount(link.account, address, passwords.hash_password(password), clock.now())

    @transactional
    def create() -> AccountPrincipal:
        claim_key(context, new.id, ENTERED)
        used = _use(token)
        created = create_account(new, context, user_agent)
        roles.assign_role(new.id, used.role, created.context)
        principal = created.principal
        if principal is None:  # for no browser
            raise OperatorLinkInvalid
        return principal

    try:
        return create()
    except EmailTaken as error:
        raise AddressHasAccount(address.shown) from error


def link_for(token: str, principal: AccountPrincipal) -> OperatorLink:
    """The link with this secret, for the account that is logged in. Raises OperatorLinkInvalid,
    LinkForAnotherAddress."""
    link = find_link(token)
    if link.email_key and link.email_key != parse_email(principal.email).key:
        raise LinkForAnotherAddress(link.email)
    return link


def accept(token: str, principal: AccountPrincipal, context: RequestContext) -> Account:
    """Give the account that is logged in the role of the link, which is used up then. Raises
    OperatorLinkInvalid, LinkForAnotherAddress, OperatorUnverified."""
    link_for(token, principal)

    @transactional
    def use() -> Account:
        claim_key(context, principal.account_id, ENTERED)
        return roles.assign_role(principal.account_id, _use(token).role, context)

    return use()


@within_transaction
def _use(token: str) -> OperatorLink:
    """Use the link up. Of two at once one deletes it; the other runs again and finds none."""
    link = find_link(token)
    link.delete()
    return link


def _url(token: str) -> str:
    return f"{settings.current().public_url}/operator/enter?token={token}"
