"""Signing up: at once, or, where verification is required, once the mailed link is followed.

Whether the address has an account is looked up only when the mail is sent, so neither the response
nor its timing discloses it. A pending sign-up claims no name.
"""

import secrets
from collections.abc import Mapping
from typing import Any

import structlog
from bson import ObjectId
from mongoengine import QuerySet
from mongoengine.errors import NotUniqueError

from portal import clock
from portal.database.transactions import transactional, within_transaction
from portal.documents.accounts import Account
from portal.documents.mails import Mail
from portal.documents.organizations import Placement
from portal.documents.sign_ups import KEPT, PendingSignUp
from portal.email_addresses import EmailAddress
from portal.errors import Action, check_all
from portal.identity.accounts.creating import NewAccount, check_sign_up
from portal.identity.authentication import passwords
from portal.mail import links, outbox
from portal.mail.errors import InvalidLink
from portal.mail.links import LinkPurpose
from portal.mail.outbox import MailKind
from portal.mail.recipients import parse_recipient
from portal.organizations.lifecycle import slugs
from portal.organizations.lifecycle.creating import SignedUp, create_with_owner, in_its_place
from portal.organizations.lifecycle.engine import run_now
from portal.organizations.lifecycle.errors import SlugTaken
from portal.organizations.lifecycle.external import External
from portal.organizations.lifecycle.names import OrganizationName, parse_name
from portal.placement.identifiers import parse_plan, parse_region
from portal.web import rate_limits
from portal.web.context import IdempotencyKey, RequestContext
from portal.web.errors import IdempotencyKeyReused

log = structlog.get_logger()

MAX_PER_ADDRESS = 5
PURPOSE = LinkPurpose("finish a sign-up", KEPT, Action("Sign up again", "organizations.sign_up"))


def sign_up(
    typed_name: str,
    email: str,
    password: str,
    context: RequestContext,
    user_agent: str | None = None,
    typed_slug: str | None = None,
    *,
    plan: str | None = None,
    region: str | None = None,
    placement: Placement | None = None,
    viewers_read_documents: bool = False,
    external_id: str | None = None,
    metadata: Mapping[str, str] | None = None,
) -> SignedUp:
    """Create an account, its organization where the policy has one of this ``plan`` and ``region``
    unless a ``placement`` is given, and a session for the browser ``user_agent``, if there is one.

    One transaction writes master data, and what they say about the collection; for one of its own
    also that, and the intent to rename it. The actor is the new account, or the provisioning key in
    ``context``. Once committed the sign-up is certain; where the collection can't be made and
    renamed in time, the organization keeps the operation, which the runner finishes.
    Raises SignUpClosed, TooManyAttempts, InvalidName, InvalidSlug, InvalidEmail, WeakPassword (or
    SeveralErrors of them), InvalidPlan, InvalidRegion, InvalidExternalId, InvalidMetadata,
    SlugTaken, EmailTaken, ExternalIdTaken, DatabaseUnavailable, Overloaded, and what ``choose``
    raises; then nothing is left.
    """
    check_sign_up(invited=bool(context.actor.id))
    if context.actor.id:  # a provisioning key has a limit of its own
        rate_limits.count_attempt(rate_limits.PROVISIONING, str(context.actor.id))
    else:
        rate_limits.count_attempt_of_network(rate_limits.SIGNUP, context.ip_address)
    name, address = _parse(typed_name, typed_slug, email, password)
    _, _, external = check_all(
        lambda: None if plan is None else parse_plan(plan),
        lambda: None if region is None else parse_region(region),
        lambda: External.parse(external_id, metadata),
    )
    owner = NewAccount(ObjectId(), address, passwords.hash_password(password))

    @transactional
    def create(chosen: Placement) -> SignedUp:
        return create_with_owner(
            name,
            owner,
            context,
            user_agent,
            placement=chosen,
            plan=plan,
            region=region,
            viewers_read_documents=viewers_read_documents,
            external=external,
        )

    with slugs.offering_a_free_slug(typed_slug):
        return in_its_place(lambda chosen: _run(create(chosen)), plan, region, placement)


def _parse(
    typed_name: str, typed_slug: str | None, email: str, password: str
) -> tuple[OrganizationName, EmailAddress]:
    """Raises InvalidName, InvalidSlug, InvalidEmail, WeakPassword, or SeveralErrors of them."""
    name, address, _ = check_all(
        lambda: parse_name(typed_name, typed_slug),
        lambda: parse_recipient(email),
        lambda: passwords.check_password(password, email, typed_name),
    )
    return name, address


def request_sign_up(
    typed_name: str,
    email: str,
    password: str,
    context: RequestContext,
    typed_slug: str | None = None,
    *,
    viewers_read_documents: bool = False,
) -> EmailAddress:
    """Store the sign-up for a day and mail its address a link; where an account has the address, a
    mail that says so. The result is the same, also when nothing is mailed: after MAX_PER_ADDRESS
    a day, and for a repeated request.

    Raises SignUpClosed, TooManyAttempts, InvalidName, InvalidSlug, InvalidEmail, WeakPassword (or
    SeveralErrors of them), SlugTaken, Overloaded; IdempotencyKeyReused where the key was used
    with another content.
    """
    check_sign_up()
    rate_limits.count_attempt_of_network(rate_limits.SIGNUP, context.ip_address)
    name, address = _parse(typed_name, typed_slug, email, password)
    try:
        with slugs.offering_a_free_slug(typed_slug):
            _store_request(
                name,
                typed_slug,
                address,
                password,
                context.idempotency_key,
                viewers_read_documents=viewers_read_documents,
            )
    except (SlugTaken, NotUniqueError):
        # The name may be taken by the organization of the first request.
        if not _was_requested(context.idempotency_key):
            raise
        log.info("request.repeated", kind="sign-up")
    return address


def _store_request(
    name: OrganizationName,
    typed_slug: str | None,
    address: EmailAddress,
    password: str,
    key: IdempotencyKey | None,
    *,
    viewers_read_documents: bool,
) -> None:
    if not slugs.is_free(name.slug):
        raise SlugTaken(name.slug)
    pending = PendingSignUp(
        id=secrets.token_hex(16),
        request_key=key and key.id,
        mac=key and key.macs[0],
        name=name.shown,
        slug=name.slug if typed_slug else None,
        viewers_read_documents=viewers_read_documents or None,
        email=address.shown,
        email_key=address.key,
        password_hash=passwords.hash_password(password),
        asked_at=clock.now(),
    )
    if _pending_for(address.key).count() < MAX_PER_ADDRESS:
        _insert_and_mail(pending)


@transactional
def _insert_and_mail(pending: PendingSignUp) -> None:
    pending.insert()
    outbox.enqueue(FINISH_SIGN_UP, pending.email, pending=pending.id)


def _was_requested(key: IdempotencyKey | None) -> bool:
    """True if a request with this key was stored before. Raises IdempotencyKeyReused."""
    first = PendingSignUp.objects(request_key=key.id).first() if key else None
    if first and key and first.mac not in key.macs:
        raise IdempotencyKeyReused
    return first is not None


def find_pending_sign_up(token: str) -> PendingSignUp:
    """The sign-up behind a link. Raises InvalidLink where it expired or was finished, SignUpClosed
    where sign-up was closed since."""
    check_sign_up()
    content = links.read_token(PURPOSE, token)
    found = PendingSignUp.objects(id=content["id"], asked_at__gt=clock.now() - KEPT).first()
    if found is None or _is_over(found):
        raise InvalidLink(PURPOSE.ask_again)
    return found


def finish_sign_up(
    asked: PendingSignUp,
    typed_name: str,
    password: str,
    context: RequestContext,
    user_agent: str,
    typed_slug: str | None = None,
    *,
    viewers_read_documents: bool = False,
) -> SignedUp:
    """Create the verified account, the organization, perhaps under another name, and a session for
    the browser. All other pending sign-ups of the address end.

    Anybody may have requested the sign-up with this address, so its owner has to enter a
    ``password`` again, the same or another. Raises InvalidLink where it was finished meanwhile,
    EmailTaken where an account already has the address, InvalidName, InvalidSlug, SlugTaken,
    WeakPassword, TooManyAttempts, DatabaseUnavailable, Overloaded; then nothing is left, and the
    link still works except after InvalidLink.
    """
    rate_limits.count_attempt_of_network(rate_limits.SIGNUP, context.ip_address)
    name = parse_name(typed_name, typed_slug)
    address = EmailAddress(asked.email, asked.email_key)
    password_hash = asked.password_hash
    if not passwords.verify_password(password, password_hash):
        passwords.check_password(password, asked.email, name.shown)
        password_hash = passwords.hash_password(password)
    owner = NewAccount(ObjectId(), address, password_hash, verified_at=clock.now())

    @transactional
    def finish(chosen: Placement) -> SignedUp:
        _end_pending(asked, owner.id)
        return create_with_owner(
            name,
            owner,
            context,
            user_agent,
            placement=chosen,
            viewers_read_documents=viewers_read_documents,
        )

    with slugs.offering_a_free_slug(typed_slug):
        return in_its_place(lambda chosen: _run(finish(chosen)))


def _run(signed_up: SignedUp) -> SignedUp:
    return SignedUp(signed_up.principal, run_now(signed_up.organization))


@within_transaction
def _end_pending(asked: PendingSignUp, account_id: ObjectId) -> None:
    """Mark all pending sign-ups of the address as finished by this account, which conflicts with a
    concurrent call. Raises InvalidLink."""
    waiting = [other.id for other in _pending_for(asked.email_key) if not _is_over(other)]
    if asked.id not in waiting:
        raise InvalidLink(PURPOSE.ask_again)
    PendingSignUp.objects(id__in=waiting).update(set__account=account_id)


def _is_over(asked: PendingSignUp) -> bool:
    return bool(asked.account and Account.objects(id=asked.account).only("id").first())


def _pending_for(email_key: str) -> QuerySet:
    return PendingSignUp.objects(email_key=email_key, asked_at__gt=clock.now() - KEPT)


def _about_pending(mail: Mail) -> dict[str, Any] | None:
    """The mail's values: of what a stranger may have typed, only the address itself."""
    asked = PendingSignUp.objects(id=mail.ids["pending"]).first()
    if asked is None or _is_over(asked):
        return None
    taken = Account.objects(email_key=asked.email_key).first() is not None
    if taken:
        subject, link = "You have an account", links.link("authentication.log_in")
    else:
        token = links.sign_token(PURPOSE, {"id": asked.id})
        subject, link = "Finish signing up", links.link("organizations.finish_sign_up", token=token)
    return {"subject": subject, "taken": taken, "email": asked.email, "link": link}


FINISH_SIGN_UP = MailKind("finish_sign_up", "{subject}", _about_pending, awaited=True)

KINDS = (FINISH_SIGN_UP,)
