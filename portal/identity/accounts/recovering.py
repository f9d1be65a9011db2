"""Recovering an account whose password is forgotten, by a mailed link."""

from datetime import timedelta

from bson import ObjectId
from mongoengine import QuerySet

from portal import clock
from portal.audit.trail import record
from portal.database.transactions import transactional
from portal.documents.accounts import Account, Recovery
from portal.email_addresses import EmailAddress, parse_email
from portal.identity.accounts.changing import (
    email_password_changed,
    new_password,
    revoke_recovery_link,
)
from portal.identity.accounts.creating import record_first_verification
from portal.identity.accounts.mails import RECOVER, RECOVER_PASSWORD
from portal.identity.authentication import attempts, passwords
from portal.identity.sessions import browsers, sessions
from portal.mail import links, outbox
from portal.mail.errors import InvalidLink
from portal.web import rate_limits
from portal.web.context import AuditActor, RequestContext
from portal.web.idempotency import claim_key

RECOVERY = "recover_password"
KEPT = timedelta(minutes=5)


def request_recovery(email: str, context: RequestContext) -> EmailAddress:
    """Mail a link that gives the account of this address a new password, and revoke earlier links.
    Within 5 minutes of the last one none is sent and that one stays valid: otherwise anybody could
    revoke it before its owner has read the mail.

    The same is written for any address at any time: only the mail's context decides whether it is
    sent. Raises InvalidEmail, TooManyAttempts.
    """
    rate_limits.count_attempt_of_network(rate_limits.RECOVERY_PER_NETWORK, context.ip_address)
    address = parse_email(email)
    rate_limits.count_attempt(rate_limits.RECOVERY_PER_EMAIL, address.key)
    account = Account.objects(email_key=address.key).only("email").first()
    # In the account's own spelling: addresses equal here may be two mailboxes.
    to = account.email if account else address.shown
    request = ObjectId()

    @transactional
    def save() -> None:
        _renew_request(address.key, request)
        outbox.enqueue(
            RECOVER_PASSWORD, to, key=address.key, request=request, address=context.ip_address or ""
        )

    save()
    return address


def account_to_recover(token: str) -> Account:
    """The account that the link with this ``token`` recovers. Raises InvalidLink for one that was
    used, is not the newest, or precedes the last change of password or address."""
    content = links.read_token(RECOVER, token)
    account = Account.objects(id=content["account"], closed_at=None).first()
    if account is None or not _request_of(account, content["request"]).first():
        raise InvalidLink(RECOVER.ask_again)
    return account


def recover_password(token: str, password: str, context: RequestContext) -> Account:
    """Make ``password`` the account's, once by each link. Revokes all its sessions and tokens, and
    verifies its address, since the link was mailed there. Raises InvalidLink, WeakPassword,
    TooManyAttempts, Overloaded."""
    account = account_to_recover(token)
    attempts.limit_network(context)
    request = links.read_token(RECOVER, token)["request"]
    passwords.check_password(password, account.email, account.name or "")
    password_hash = passwords.hash_password(password)
    by_account = context.acting_as(AuditActor(account.id, account.email, context.session))

    @transactional
    def change_password() -> Account:
        claim_key(by_account, account.id, RECOVERY)
        if not _request_of(account, request).delete():
            raise InvalidLink(RECOVER.ask_again)
        changed = Account.objects(id=account.id, email_key=account.email_key).modify(
            new=True, **new_password(password_hash)
        )
        if changed is None:
            raise InvalidLink(RECOVER.ask_again)
        changed = record_first_verification(changed, password_hash, by_account) or changed
        revoke_recovery_link(changed)
        sessions.revoke_all(changed.id)
        browsers.revoke_all_trust(changed.id)
        record(changed, "account.password_recovered", by_account.origin)
        email_password_changed(changed, by_account)
        return changed

    recovered = change_password()
    # Earlier failures are no reason to throttle the new password.
    attempts.reset_failures(attempts.subject_of(account.email_key))
    return recovered


def _renew_request(email_key: str, request: ObjectId) -> None:
    """Make ``request`` the one whose link is valid, unless the last is too recent. One update."""
    now = clock.now()
    is_recent = {"$gt": ["$at", now - KEPT]}
    renewed = {
        "request": {"$cond": [is_recent, "$request", request]},
        "at": {"$cond": [is_recent, "$at", now]},
    }
    recovery = Recovery.objects(id=Recovery.id_of(email_key))
    recovery.update_one(upsert=True, __raw__=[{"$set": renewed}])


def _request_of(account: Account, request: str) -> QuerySet:
    return Recovery.objects(id=Recovery.id_of(account.email_key), request=ObjectId(request))
