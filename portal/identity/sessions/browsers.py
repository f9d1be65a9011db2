"""Browsers that an account is known to use: each by a random id of its own that it keeps in a
cookie, whoever is logged in there. Only the id's hash is stored."""

import secrets
from datetime import datetime

from bson import ObjectId
from mongoengine.queryset import QuerySet

from portal import clock
from portal.audit.trail import record
from portal.database.transactions import transaction
from portal.documents.accounts import Account
from portal.documents.sessions import Browser
from portal.hashing import hash_secret
from portal.web.context import RequestContext


def new_id() -> str:
    """The id of a browser that has none yet."""
    return secrets.token_urlsafe(32)


def is_known(account_id: ObjectId, browser_id: str | None) -> bool:
    """Whether somebody logged in to the account from this browser before; one read."""
    return browser_id is not None and _of(account_id, browser_id).first() is not None


def is_trusted(account_id: ObjectId, browser_id: str | None) -> bool:
    """Whether the account's second factor need not be asked for in this browser; one read."""
    if browser_id is None:
        return False
    return _of(account_id, browser_id).filter(trusted_until__gt=clock.now()).first() is not None


def remember(account_id: ObjectId, browser_id: str) -> None:
    """Know the browser from now on: somebody logged in to the account from it. One write, which may
    be part of a transaction."""
    now = clock.now()
    _of(account_id, browser_id).update_one(
        set_on_insert__first_seen_at=now, set__last_seen_at=now, upsert=True
    )


def trust(account_id: ObjectId, browser_id: str, until: datetime) -> None:
    """Don't ask for the account's second factor in this browser, which is known, ``until`` then."""
    _of(account_id, browser_id).update_one(set__trusted_until=until)


def trusted_browsers_of(account_id: ObjectId) -> list[Browser]:
    """The browsers in which the account's second factor is not asked for, the latest first."""
    trusted = Browser.objects(account=account_id, trusted_until__gt=clock.now())
    return list(trusted.order_by("-trusted_until"))


def revoke_trust(account_id: ObjectId, hashes: list[str | None]) -> None:
    """Ask for the account's second factor in the browsers with these hashes again; in every one
    where a hash is missing, since nobody knows which that is. They stay known."""
    mine = Browser.objects(account=account_id)
    meant = mine if None in hashes else mine.filter(hash__in=hashes)
    meant.update(unset__trusted_until=True)


def revoke_all_trust(account_id: ObjectId) -> None:
    """Ask for the account's second factor everywhere again. The browsers stay known."""
    Browser.objects(account=account_id).update(unset__trusted_until=True)


def revoke(account_id: ObjectId, browser_id: str) -> None:
    """Know one of the account's browsers no more."""
    _of(account_id, browser_id).delete()


def revoke_all(account_id: ObjectId) -> None:
    """Know no browser of the account any more."""
    Browser.objects(account=account_id).delete()


def _of(account_id: ObjectId, browser_id: str) -> QuerySet:
    return Browser.objects(account=account_id, hash=hash_secret(browser_id))


def forget_trusted_browsers(account_id: ObjectId, context: RequestContext) -> None:
    """Ask for the account's second factor in every browser again."""

    def body() -> None:
        revoke_all_trust(account_id)
        record(Account.objects.get(id=account_id), "account.browsers_forgotten", context.origin)

    transaction(body)
