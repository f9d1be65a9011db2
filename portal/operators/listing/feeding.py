"""Feeds the listing from master data, a second or two after each change.

Whatever the listing shows of an organization, each change of it sets a mark in the transaction of
the change: on the organization (every event does), on its figures, or on an owner's account. The
feeder reads the truth of what is marked, lists it, and takes the mark off if it is still the one
that it read. So the order of changes doesn't matter, and a feeder may be killed anywhere: what it
had in hand is still marked.

Of two feeders that list one organization the one with the older truth begins again: each writes the
row in the transaction that read the truth. Rows are never deleted but where the organization is
gone, which happens to none that was ever listed; so no late write brings one back.
"""

import itertools
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from bson import ObjectId
from mongoengine import Document
from pymongo import ReplaceOne, UpdateOne

from portal import clock
from portal.database.background import start_loop
from portal.database.leases import Interrupted, LeasedQueue
from portal.database.together import Part, Read, Stages, read
from portal.database.transactions import transactional, within_transaction
from portal.documents.accounts import Account
from portal.documents.figures import OrganizationFigures
from portal.documents.listing import LISTING, ListedOrganization, ListedWord, ListingFeed, UseClass
from portal.documents.memberships import Membership, Role
from portal.documents.organizations import MAIN_CLUSTER, OperationKind, Organization, Strategy
from portal.operators.listing.classes import USES, size_of, state_of, use_of
from portal.operators.listing.words import fold, others_of, words_of

log = structlog.get_logger()

LOOP = "listing"
PAUSE_SECONDS = 1
AT_ONCE = 200
FORMAT = 3
"""Raised with each change of what rows or words hold: the listing is then filled anew."""

MOST_OWNERS = 20
_LEASE_SECONDS = 5
_AGED_AT_ONCE = 1000
_AGED_EVERY = timedelta(minutes=1)
_PASSED_EVERY = timedelta(seconds=10)
_STANDS_STILL_AFTER = 2 * _PASSED_EVERY
_QUEUE = LeasedQueue(ListingFeed, "due_at", "attempt", "last_error", _LEASE_SECONDS)
_TRUTH = dict.fromkeys(
    (
        "name", "slug", "state", "restricted", "plan", "region", "placement.strategy",
        "placement.cluster", "created_at", "external_id", "metadata",
    ),
    1,
)  # fmt: skip
# A creation that is rolled back leaves no organization, so none is listed before it is through.
_MARKED = {"unlisted": {"$exists": True}}
_CREATED = {"operation.kind": {"$ne": OperationKind.CREATE}}


def start() -> None:
    """Start the thread of this worker that feeds the listing; call it after the fork."""
    start_loop(LOOP, feed, pause_seconds=PAUSE_SECONDS)


def feed() -> None:
    """Bring the listing up to date, unless another process does; fill it where it isn't yet."""
    deque(steps(), maxlen=0)


def steps() -> Iterator[int]:
    """Feed the listing part by part; yields how many organizations each listed."""
    if not _has_work() or (held := _QUEUE.acquire({"_id": LISTING})) is None:
        return
    try:
        yield from _keep_up(held)
        while not is_built(held):
            yield _build_on(held)
            yield from _keep_up(held)
    except Interrupted:
        log.info("listing.taken_over")
    else:
        _QUEUE.held(held.id, held.attempt).update_one(__raw__=[{"$set": {"due_at": "$$NOW"}}])


def feed_marked() -> int:
    """List all that is marked now; how many organizations. Any number of processes may."""
    return sum(_feed_marked())


def lag_seconds() -> float:
    """The age of the oldest change that the listing doesn't show yet, of an organization, its
    figures or an owner's address; 0 where it shows all."""
    return read(reading_lag())


def reading_lag() -> Part[float]:
    """Reads that age."""
    oldest: Stages = [{"$sort": {"unlisted": 1}}, {"$limit": 1}, {"$project": {"unlisted": 1}}]
    *marked, feeds = yield [
        Read(Organization, [{"$match": {**_MARKED, **_CREATED}}, *oldest]),
        Read(OrganizationFigures, [{"$match": _MARKED}, *oldest]),
        Read(Account, [{"$match": _MARKED}, *oldest]),
        Read(ListingFeed, [{"$match": {"_id": LISTING}}, {"$project": {"passed_at": 1}}]),
    ]
    since = [row["unlisted"].generation_time for rows in marked for row in rows]
    if not since:
        return 0.0
    now = datetime.now(UTC)
    # Each change renews a mark: where nobody takes them off, one that is young tells nothing.
    passed = [row["passed_at"] for row in feeds if row.get("passed_at")]
    since += [at for at in passed if now - at > _STANDS_STILL_AFTER]
    return max(0.0, (now - min(since)).total_seconds())


def state_of_feed() -> ListingFeed:
    """The feeding as it is recorded; a new one where it never began."""
    return ListingFeed.objects(id=LISTING).first() or ListingFeed()


def is_filled() -> bool:
    """Tell whether the listing was filled, with rows of this version's format."""
    return read(reading_filled())


def reading_filled() -> Part[bool]:
    """Reads whether it was."""
    filled = {"_id": LISTING, "built_at": {"$ne": None}, "format": FORMAT}
    [rows] = yield [Read(ListingFeed, [{"$match": filled}, {"$project": {"_id": 1}}])]
    return bool(rows)


def is_built(feed: ListingFeed) -> bool:
    """Tell whether the listing was filled, with rows of this version's format."""
    return bool(feed.built_at) and feed.format == FORMAT


def begin_building() -> None:
    """Have the listing filled anew, by whichever process feeds it; it stays in use meanwhile."""
    ListingFeed._get_collection().update_one(
        {"_id": LISTING},
        {
            "$unset": {"built_to": 1, "built_at": 1},
            "$set": {"format": FORMAT},
            "$currentDate": {"due_at": True},
            "$inc": {"attempt": 1},  # whoever is filling it begins again
        },
        upsert=True,
    )


@transactional
def list_organizations(ids: list[ObjectId], *, all_words: bool = False) -> int:
    """Write the rows and words of these organizations as the truth is now; how many there are. With
    ``all_words`` also those that are there already by what the row says."""
    truth = true_rows(ids, clock.now())
    listed = {
        row["_id"]: set(row["words"])
        for row in ListedOrganization._get_collection().find({"_id": {"$in": ids}}, {"words": 1})
    }
    rows, words = ListedOrganization._get_collection(), ListedWord._get_collection()
    new, changed, lost = [], [], []
    wanted: list[dict[str, Any]] = []
    for row in truth:
        own_id, now = row["_id"], set(row["words"])
        before = listed.pop(own_id, None)
        stored = {**row, "fed": ObjectId()}
        if before is None:
            new.append(stored)
        else:
            changed.append(ReplaceOne({"_id": own_id}, stored))
            lost += _ids_of(before - now, own_id)
        wanted += _ids_of(now if all_words else now - (before or set()), own_id)
    gone = _nowhere(listed)
    for own_id in gone:
        lost += _ids_of(listed[own_id], own_id)
    if new:
        rows.insert_many(new)
    if changed:
        rows.bulk_write(changed, ordered=False)
    if gone:
        rows.delete_many({"_id": {"$in": gone}})
    if lost:
        words.delete_many({"_id": {"$in": lost}})
    if missing := _missing(wanted):
        words.insert_many(missing)
    return len(truth)


def true_rows(ids: list[ObjectId], now: datetime) -> list[dict[str, Any]]:
    """The rows that the listing should have of those of these organizations that exist. One that
    somebody damaged by hand is left out, so that it doesn't hold up all others."""
    found = list(Organization._get_collection().find({"_id": {"$in": ids}, **_CREATED}, _TRUTH))
    there = [row["_id"] for row in found]
    measured = OrganizationFigures._get_collection().find(
        {"_id": {"$in": there}}, {"documents": 1, "bytes": 1, "used_at": 1}
    )
    figures, owners = {row["_id"]: row for row in measured}, _owners_of(there)
    rows = []
    for one in found:
        own_id = one["_id"]
        try:
            rows.append(_row_of(one, figures.get(own_id, {}), owners.get(own_id, []), now))
        except (AttributeError, KeyError, TypeError):
            log.exception("listing.unreadable", organization=str(own_id))
    return rows


def _row_of(
    one: dict[str, Any], figures: dict[str, Any], owners: list[str], now: datetime
) -> dict[str, Any]:
    placement, own_id = one.get("placement", {}), one["_id"]
    used_at = figures.get("used_at", one["created_at"])
    documents, size_bytes = figures.get("documents"), figures.get("bytes")
    sorts = {
        "by_name": fold(one["name"]),
        "by_created": one["created_at"],
        "by_documents": documents,
        "by_bytes": size_bytes,
        "by_used": used_at,
    }
    values = {
        "name": one["name"],
        "slug": one["slug"],
        "state": state_of(one),
        "size": size_of(size_bytes),
        "use": use_of(used_at, now),
        "strategy": placement.get("strategy", Strategy.COLLECTION),
        "plan": one.get("plan"),
        "region": one.get("region"),
        "cluster": placement.get("cluster", MAIN_CLUSTER),
        "created_at": one["created_at"],
        "documents": documents,
        "bytes": size_bytes,
        "used_at": used_at,
        "external_id": one.get("external_id"),
        "owners": owners,
        "words": words_of(one["name"], one["slug"], others_of(one), owners),
    }
    present = {name: value for name, value in values.items() if value is not None}
    keys = {name: {"v": value, "o": own_id} for name, value in sorts.items()}
    return {"_id": own_id, **present, **keys}


def _owners_of(ids: list[ObjectId]) -> dict[ObjectId, list[str]]:
    """The addresses of the first owners of each."""
    owned = Membership._get_collection().find(
        {"organization": {"$in": ids}, "role": Role.OWNER}, {"organization": 1, "account": 1}
    )
    accounts: defaultdict[ObjectId, list[ObjectId]] = defaultdict(list)
    for row in sorted(owned, key=lambda row: row["_id"]):
        if len(accounts[row["organization"]]) < MOST_OWNERS:
            accounts[row["organization"]].append(row["account"])
    wanted = list({account for named in accounts.values() for account in named})
    addresses = {
        row["_id"]: row["email_key"]
        for row in Account._get_collection().find(
            {"_id": {"$in": wanted}, "email_key": {"$exists": True}}, {"email_key": 1}
        )
    }
    return {
        organization: [addresses[account] for account in named if account in addresses]
        for organization, named in accounts.items()
    }


@within_transaction
def _nowhere(listed: Iterable[ObjectId]) -> list[ObjectId]:
    """The listed organizations among these that don't exist."""
    ids = list(listed)
    there = Organization._get_collection().find({"_id": {"$in": ids}}, {"_id": 1}) if ids else ()
    return sorted(set(ids) - {row["_id"] for row in there})


def _ids_of(words: Iterable[str], organization: ObjectId) -> list[dict[str, Any]]:
    return [{"w": word, "o": organization} for word in sorted(words)]


def _missing(ids: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The words among these that aren't there, as they are stored."""
    there = ListedWord._get_collection().find({"_id": {"$in": ids}}) if ids else ()
    found = {(row["_id"]["w"], row["_id"]["o"]) for row in there}
    return [{"_id": one} for one in ids if (one["w"], one["o"]) not in found]


def _keep_up(held: ListingFeed) -> Iterator[int]:
    """Bring what is listed up to date. Raises Interrupted."""
    held.passed_at = clock.now()
    for fed in itertools.chain(_feed_marked(), _age(held)):
        _renew(held)
        yield fed
    _renew(held, passed_at=held.passed_at)


def _feed_marked() -> Iterator[int]:
    """List what is marked, a batch at a time; yields how many organizations each had."""
    for account in _marked_of(Account):
        owned = Membership.objects(account=account["_id"], role=Role.OWNER).scalar("organization")
        yield from _list_all(list(owned))
        _unmark(Account, [account])
    yield from _feed_marked_of(OrganizationFigures)
    yield from _feed_marked_of(Organization, _CREATED)


def _feed_marked_of(
    document: type[Document], wanted: dict[str, Any] | None = None
) -> Iterator[int]:
    full = True
    while full and (marked := _marked_of(document, wanted)):
        yield list_organizations([row["_id"] for row in marked])
        _unmark(document, marked)
        # What was marked meanwhile is for the next time: there would be no end among many changes.
        full = len(marked) == AT_ONCE


def _list_all(ids: list[ObjectId]) -> Iterator[int]:
    for start_at in range(0, len(ids), AT_ONCE):
        yield list_organizations(ids[start_at : start_at + AT_ONCE])


def _marked_of(
    document: type[Document], wanted: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    """The organizations that were marked first, each with its mark."""
    marked = document._get_collection().find({**_MARKED, **(wanted or {})}, {"unlisted": 1})
    return list(marked.sort("unlisted", 1).limit(AT_ONCE))


def _unmark(document: type[Document], marked: list[dict[str, Any]]) -> None:
    """Take the marks off that are still the same: all that they stand for is listed."""
    document._get_collection().bulk_write(
        [UpdateOne(row, {"$unset": {"unlisted": 1}}) for row in marked], ordered=False
    )


def _age(held: ListingFeed) -> Iterator[int]:
    """Move rows whose last use is longer ago by now to the class that says so."""
    if not _ages(held):
        return
    rows, now, classes = ListedOrganization._get_collection(), clock.now(), list(UseClass)
    for use, ago in reversed(USES):
        older = classes[classes.index(use) + 1]
        younger = {"use": {"$in": classes[: classes.index(older)]}, "used_at": {"$lt": now - ago}}
        while ids := [row["_id"] for row in rows.find(younger, {"_id": 1}).limit(_AGED_AT_ONCE)]:
            rows.update_many({**younger, "_id": {"$in": ids}}, {"$set": {"use": older}})
            yield 0
    held.aged_at = now
    _renew(held, aged_at=now)


def _passes(feed: ListingFeed) -> bool:
    """Tell whether it is time to note that nothing was left, for whoever asks for the lag."""
    return feed.passed_at is None or clock.now() - feed.passed_at >= _PASSED_EVERY


def _ages(feed: ListingFeed) -> bool:
    return feed.aged_at is None or clock.now() - feed.aged_at >= _AGED_EVERY


def _build_on(held: ListingFeed) -> int:
    """List the next organizations that the listing wasn't filled with yet; how many there were.
    Raises Interrupted."""
    if held.format != FORMAT:
        held.built_to = held.built_at = None
    after = {"_id": {"$gt": held.built_to}} if held.built_to else {}
    page = Organization._get_collection().find(after, {"_id": 1}).sort("_id", 1)
    ids = [row["_id"] for row in page.limit(AT_ONCE)]
    # A creation that an older version began has no mark yet, by which it is listed once through.
    Organization._get_collection().update_many(
        {"_id": {"$in": ids}, "operation.kind": OperationKind.CREATE},
        {"$set": {"unlisted": ObjectId()}},
    )
    listed = list_organizations(ids, all_words=True)
    if len(ids) == AT_ONCE:
        held.built_to = ids[-1]
        _renew(held, format=FORMAT, built_to=ids[-1])
    else:  # what is created from now on is marked
        held.built_at = clock.now()
        _renew(held, format=FORMAT, built_at=held.built_at)
        log.info("listing.built")
    held.format = FORMAT
    return listed


def _renew(held: ListingFeed, **values: object) -> None:
    """Begin the lease anew, and write the values. Raises Interrupted."""
    changes = {**_QUEUE.lease, **values}
    if not _QUEUE.held(held.id, held.attempt).update_one(__raw__=[{"$set": changes}]):
        raise Interrupted(LOOP)


def _has_work() -> bool:
    """Tell whether anything is to be done, so that processes that have nothing to do write
    nothing."""
    feed = state_of_feed()
    if feed.due_at is None:
        begin_building()
        return True
    if not is_built(feed):
        return True
    marked = (
        _marked_of(Organization, _CREATED),
        _marked_of(OrganizationFigures),
        _marked_of(Account),
    )
    return any(marked) or _ages(feed) or _passes(feed)
