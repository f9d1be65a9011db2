"""Browsers known to an account, each by a random id that it keeps in a cookie, whoever logs in
there. Only the id's hash is stored. A trusted browser logs in without the second factor."""

import secrets
from datetime import datetime

from bson import ObjectId
from mongoengine.queryset import QuerySet

from portal import clock
from portal.audit.trail import record
from portal.database.together import Part, Read, Stages
from portal.database.transactions import transactional
from portal.documents.accounts import Account
from portal.documents.sessions import Browser
from portal.hashing import hash_secret
from portal.web.context import RequestContext


def new_id() -> str:
    """An id for a browser that has none yet."""
    return secrets.token_urlsafe(32)


def is_known(account_id: ObjectId, browser_id: str | None) -> bool:
    """Tell whether this browser logged in to the account before; one read."""
    return browser_id is not None and _of(account_id, browser_id).first() is not None


def is_trusted(account_id: ObjectId, browser_id: str | None) -> bool:
    """Tell whether this browser logs in without the account's second factor; one read."""
    if browser_id is None:
        return False
    return _of(account_id, browser_id).filter(trusted_until__gt=clock.now()).first() is not None


def remember(account_id: ObjectId, browser_id: str) -> None:
    """Record that the browser logged in to the account. One write, which may join a transaction."""
    now = clock.now()
    _of(account_id, browser_id).update_one(
        set_on_insert__first_seen_at=now, set__last_seen_at=now, upsert=True
    )


def trust(account_id: ObjectId, browser_id: str, until: datetime) -> None:
    """Let a known browser log in without the account's second factor ``until`` then."""
    _of(account_id, browser_id).update_one(set__trusted_until=until)


def reading_trusted(account_id: ObjectId) -> Part[list[Browser]]:
    """Reads the account's trusted browsers, the latest first."""
    latest_first: Stages = [
        {"$match": {"account": account_id, "trusted_until": {"$gt": clock.now()}}},
        {"$sort": {"trusted_until": -1}},
    ]
    [rows] = yield [Read(Browser, latest_first)]
    return list(map(Browser._from_son, rows))


@transactional
def revoke_trusted_browsers(account_id: ObjectId, context: RequestContext) -> None:
    """Revoke the trust in all of the account's browsers, as its owner."""
    revoke_all_trust(account_id)
    record(Account.objects.get(id=account_id), "account.browsers_forgotten", context.origin)


def revoke_trust(account_id: ObjectId, hashes: list[str | None]) -> None:
    """Revoke the trust in the browsers with these hashes; in all of them where a hash is missing,
    since it may be any. They stay known."""
    browsers = Browser.objects(account=account_id)
    if None not in hashes:
        browsers = browsers.filter(hash__in=hashes)
    browsers.update(unset__trusted_until=True)


def revoke_all_trust(account_id: ObjectId) -> None:
    """Revoke the trust in all of the account's browsers. They stay known."""
    Browser.objects(account=account_id).update(unset__trusted_until=True)


def revoke_trust_of_all_accounts() -> None:
    """Revoke the trust in all browsers of all accounts. They stay known."""
    Browser.objects(trusted_until__exists=True).update(unset__trusted_until=True)


def revoke_all(account_id: ObjectId) -> None:
    """Delete all of the account's known browsers."""
    Browser.objects(account=account_id).delete()


def _of(account_id: ObjectId, browser_id: str) -> QuerySet:
    return Browser.objects(account=account_id, hash=hash_secret(browser_id))
