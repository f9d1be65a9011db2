"""Creating accounts."""

from dataclasses import dataclass, field
from datetime import datetime

from bson import ObjectId
from mongoengine.errors import NotUniqueError

from portal import clock
from portal.audit.trail import record
from portal.database.transactions import within_transaction
from portal.documents.accounts import Account
from portal.email_addresses import EmailAddress
from portal.identity.accounts.errors import EmailTaken
from portal.identity.accounts.mails import VERIFY_ADDRESS
from portal.identity.sessions import sessions
from portal.identity.sessions.principals import AccountPrincipal
from portal.mail import outbox
from portal.web.context import AuditActor, RequestContext


@dataclass(frozen=True, slots=True)
class NewAccount:
    """An account to create; with ``verified_at`` where its address is verified."""

    id: ObjectId
    address: EmailAddress
    password_hash: str = field(repr=False)
    verified_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CreatedAccount:
    """A created account, the principal of its browser, if there is one, and the request as its
    actor's: the account, or the provisioning key that created it."""

    account: Account
    principal: AccountPrincipal | None
    context: RequestContext


@within_transaction
def create_account(
    new: NewAccount, context: RequestContext, user_agent: str | None = None
) -> CreatedAccount:
    """Write the account, and a session for the browser ``user_agent``, if there is one; mail a link
    to an address that is not verified. Raises EmailTaken."""
    account = Account(
        id=new.id,
        email=new.address.shown,
        email_key=new.address.key,
        password_hash=new.password_hash,
        created_at=clock.now(),
        verified_at=new.verified_at,
    )
    try:
        account.save(force_insert=True)
    except NotUniqueError as error:
        raise EmailTaken(account.email) from error
    principal = None
    if user_agent is not None:
        principal = sessions.open_session(account, context, user_agent)
        context = context.acting_as(principal.audit_actor)
    elif not context.actor.id:
        context = context.acting_as(AuditActor(account.id, account.email))
    if new.verified_at:
        record(account, "account.address_verified", context.origin)
    else:
        outbox.enqueue(VERIFY_ADDRESS, account.email, account=account.id)
    return CreatedAccount(account, principal, context)
