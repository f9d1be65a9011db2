"""Sign-ups that wait for their address to be proved: the organization is created when the link is
followed that was sent there.

Whether the address has an account is looked up when the mail is sent and not before, so who asks
learns nothing of it, by words or by time. No name is claimed meanwhile.
"""

import secrets
from typing import Any

import structlog
from bson import ObjectId
from mongoengine.errors import NotUniqueError

from portal import clock
from portal.database.transactions import transaction, transactional
from portal.documents.accounts import Account
from portal.documents.mails import Mail
from portal.documents.sign_ups import KEPT, PendingSignUp
from portal.email_addresses import EmailAddress, parse_email
from portal.errors import WayOn, check_all
from portal.identity.accounts.creating import NewAccount
from portal.identity.authentication import passwords
from portal.mail import links, outbox
from portal.mail.errors import InvalidLink
from portal.mail.links import LinkPurpose
from portal.mail.outbox import MailKind
from portal.organizations.lifecycle import slugs
from portal.organizations.lifecycle.creating import SignedUp, create_with_owner
from portal.organizations.lifecycle.engine import run_now
from portal.organizations.lifecycle.errors import SlugTaken
from portal.organizations.lifecycle.names import OrganizationName, parse_name
from portal.web import rate_limits
from portal.web.context import IdempotencyKey, RequestContext
from portal.web.errors import IdempotencyKeyReused

log = structlog.get_logger()

MOST_OF_AN_ADDRESS = 5
PURPOSE = LinkPurpose("finish a sign-up", KEPT, WayOn("Sign up again", "organizations.sign_up"))


def sign_up(
    typed_name: str,
    email: str,
    password: str,
    context: RequestContext,
    user_agent: str | None = None,
) -> SignedUp:
    """Create an account, its organization with a collection of its own, and a session for the
    browser ``user_agent``, if there is one.

    Master data is written in one transaction together with the collection and the intent to
    give that its name. It is the deed of the new account, or of the provisioning key that
    ``context`` names. Once that is committed the sign-up stands; where the collection can't get its
    name in time, the operation is still in the organization and is finished later.
    Raises TooManyAttempts, InvalidName, InvalidEmail, WeakPassword (or SeveralErrors of them),
    SlugTaken, EmailTaken, DatabaseUnavailable, Overloaded; then nothing is left.
    """
    if context.actor.id:  # a provisioning key has a limit of its own
        rate_limits.count_try(rate_limits.PROVISIONING, str(context.actor.id))
    else:
        rate_limits.count_try(rate_limits.SIGNUP, rate_limits.network_of(context.ip_address))
    name, address = _parse(typed_name, email, password)
    owner = NewAccount(ObjectId(), address, passwords.hash_password(password))
    signed_up = transaction(lambda: create_with_owner(name, owner, context, user_agent))
    return SignedUp(signed_up.principal, run_now(signed_up.organization))


def _parse(typed_name: str, email: str, password: str) -> tuple[OrganizationName, EmailAddress]:
    """Raises InvalidName, InvalidEmail, WeakPassword, or SeveralErrors of them."""
    name, address, _ = check_all(
        lambda: parse_name(typed_name),
        lambda: parse_email(email),
        lambda: passwords.check_password(password, email, typed_name),
    )
    return name, address


def request_sign_up(
    typed_name: str, email: str, password: str, context: RequestContext
) -> EmailAddress:
    """Keep the sign-up for a day and have its address sent a link; where an account has that, a
    mail that says so. Both alike, and after MOST_OF_AN_ADDRESS a day nothing more; nor where the
    same request asked for it before, whatever became of that.

    Raises TooManyAttempts, InvalidName, InvalidEmail, WeakPassword (or SeveralErrors of them),
    SlugTaken, Overloaded; IdempotencyKeyReused where the key came before with another content.
    """
    rate_limits.count_try(rate_limits.SIGNUP, rate_limits.network_of(context.ip_address))
    name, address = _parse(typed_name, email, password)
    try:
        _store_request(name, address, password, context.idempotency_key)
    except (SlugTaken, NotUniqueError):
        # The name may be taken by the very organization that was asked for.
        if not _was_requested(context.idempotency_key):
            raise
        log.info("request.repeated", kind="sign-up")
    return address


def _store_request(
    name: OrganizationName, address: EmailAddress, password: str, key: IdempotencyKey | None
) -> None:
    if not slugs.is_free(name.slug):
        raise SlugTaken(name.slug)
    asked = PendingSignUp(
        id=secrets.token_hex(16),
        request_key=key and key.id,
        mac=key and key.macs[0],
        name=name.shown,
        email=address.shown,
        email_key=address.key,
        password_hash=passwords.hash_password(password),
        asked_at=clock.now(),
    )
    if _pending_for(address.key).count() >= MOST_OF_AN_ADDRESS:
        return

    def body() -> None:
        asked.save(force_insert=True)
        outbox.enqueue(FINISH_SIGN_UP, address.shown, pending=asked.id)

    transaction(body)


def _was_requested(key: IdempotencyKey | None) -> bool:
    """Whether the request with this key asked before. Raises IdempotencyKeyReused where that was
    another."""
    first = PendingSignUp.objects(request_key=key.id).first() if key else None
    if first and key and first.mac not in key.macs:
        raise IdempotencyKeyReused
    return first is not None


def find_pending_sign_up(token: str) -> PendingSignUp:
    """The sign-up that a link is for. Raises InvalidLink where it is too old, or was finished."""
    content = links.read(PURPOSE, token)
    found = PendingSignUp.objects(id=content["id"], asked_at__gt=clock.now() - KEPT).first()
    if found is None or _is_over(found):
        raise InvalidLink(PURPOSE.ask_again)
    return found


def finish_sign_up(
    asked: PendingSignUp, typed_name: str, password: str, context: RequestContext, user_agent: str
) -> SignedUp:
    """Create the account, verified, and the organization, under another name if it must be,
    and a session for the browser. All else that waits for the address is over then.

    Whoever signed up may have typed an address that isn't theirs, so ``password`` is asked for
    again of who reads what is sent there: the one of then, or another. Raises InvalidLink where it
    was finished meanwhile, EmailTaken where an account has the address, InvalidName,
    SlugTaken, WeakPassword, TooManyAttempts, DatabaseUnavailable, Overloaded; then nothing is left,
    and the link works again but for the first.
    """
    rate_limits.count_try(rate_limits.SIGNUP, rate_limits.network_of(context.ip_address))
    name = parse_name(typed_name)
    address = EmailAddress(asked.email, asked.email_key)
    password_hash = _password_hash_of(asked, password, name.shown)
    owner = NewAccount(ObjectId(), address, password_hash, verified_at=clock.now())

    @transactional
    def finish() -> SignedUp:
        _use_up(asked, owner.id)
        return create_with_owner(name, owner, context, user_agent)

    signed_up = finish()
    return SignedUp(signed_up.principal, run_now(signed_up.organization))


def _use_up(asked: PendingSignUp, account_id: ObjectId) -> None:
    """Have all that waits for the address be over by this account, in the caller's transaction.
    Raises InvalidLink. Of two that come at once one meets the other's writes."""
    waiting = [other.id for other in _pending_for(asked.email_key) if not _is_over(other)]
    if asked.id not in waiting:
        raise InvalidLink(PURPOSE.ask_again)
    PendingSignUp.objects(id__in=waiting).update(set__account=account_id)


def _is_over(asked: PendingSignUp) -> bool:
    return bool(asked.account and Account.objects(id=asked.account).only("id").first())


def _pending_for(email_key: str) -> Any:
    return PendingSignUp.objects(email_key=email_key, asked_at__gt=clock.now() - KEPT)


def _password_hash_of(asked: PendingSignUp, password: str, name: str) -> str:
    if passwords.verify_password(password, asked.password_hash):
        return asked.password_hash
    passwords.check_password(password, asked.email, name)
    return passwords.hash_password(password)


def _about_pending(mail: Mail) -> dict[str, Any] | None:
    """What the address is told: nothing that a stranger typed but the address itself."""
    asked = PendingSignUp.objects(id=mail.ids["pending"]).first()
    if asked is None or _is_over(asked):
        return None
    if Account.objects(email_key=asked.email_key).first():
        subject, link = "You have an account", links.link("authentication.log_in")
        return {"subject": subject, "taken": True, "email": asked.email, "link": link}
    token = links.sign(PURPOSE, {"id": asked.id})
    link = links.link("organizations.finish_sign_up", token=token)
    subject = "Finish signing up"
    return {"subject": subject, "taken": False, "email": asked.email, "link": link}


FINISH_SIGN_UP = MailKind("finish_sign_up", "{subject}", _about_pending, awaited=True)

KINDS = (FINISH_SIGN_UP,)
