"""Compares the listing with the truth."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from bson import ObjectId

from portal import clock
from portal.database.paging import BATCH_SIZE, in_batches
from portal.database.transactions import transactional
from portal.documents.listing import ListedOrganization, ListedWord
from portal.documents.organizations import Organization
from portal.operators.listing.classes import use_of
from portal.operators.listing.feeding import feed_marked, list_organizations, true_rows

_WORDS_AT_ONCE = 5000
# Rows are moved to the next class of use once a minute.
_AGED_WITHIN = timedelta(minutes=5)
_ROW = {"fed": 0}


@dataclass(frozen=True, slots=True)
class Difference:
    """An organization that the listing shows otherwise than it is, and how in ``words``; by which
    ``stray`` word it is found, where that is none of its own."""

    organization: ObjectId
    words: str
    stray: str | None = None


def find_differences(*, repair: bool = False) -> Iterator[Difference]:
    """Find all that differs, but for changes that the feeder hasn't come to yet; with ``repair``
    each is listed again."""
    feed_marked()
    for page in in_batches(Organization, {}):
        yield from _differing([row["_id"] for row in page], repair=repair)
    for page in in_batches(ListedOrganization, {}):
        ids = [row["_id"] for row in page]
        there = Organization._get_collection().find({"_id": {"$in": ids}}, {"_id": 1})
        yield from _differing(sorted(set(ids) - {row["_id"] for row in there}), repair=repair)
    yield from _stray_words(repair=repair)


def repair(found: Difference) -> str | None:
    """List the organization again, or take the stray word away; ``None`` where all is as it should
    be by now."""
    if found.stray is not None:
        entry = {"w": found.stray, "o": found.organization}
        return "no longer found by it" if _is_stray(entry, repair=True) else None
    if not judge(found.organization):
        return None
    list_organizations([found.organization], all_words=True)
    return "listed again"


def differing(ids: list[ObjectId]) -> Iterator[Difference]:
    """Find how these organizations are listed otherwise than they are, but for changes that the
    feeder hasn't come to yet."""
    for first in range(0, len(ids), BATCH_SIZE):
        yield from _differing(ids[first : first + BATCH_SIZE], repair=False)


@transactional
def judge(organization: ObjectId) -> str | None:
    """How the organization is listed otherwise than it is, in words, if it is; changes that are
    still marked don't count."""
    if Organization.objects(id=organization, unlisted__exists=True):
        return None
    truth = {row["_id"]: row for row in true_rows([organization], clock.now())}.get(organization)
    listed = ListedOrganization._get_collection().find_one({"_id": organization}, _ROW)
    return _difference(truth, listed, _missing([listed] if listed else []))


def _differing(ids: list[ObjectId], *, repair: bool) -> Iterator[Difference]:
    truth = {row["_id"]: row for row in true_rows(ids, clock.now())}
    rows = list(ListedOrganization._get_collection().find({"_id": {"$in": ids}}, _ROW))
    listed, missing = {row["_id"]: row for row in rows}, _missing(rows)
    for own_id in ids:
        suspect = _difference(truth.get(own_id), listed.get(own_id), missing)
        if suspect and (words := judge(own_id)):
            yield Difference(own_id, words)
            if repair:
                list_organizations([own_id], all_words=True)


def _difference(
    truth: dict[str, Any] | None,
    listed: dict[str, Any] | None,
    missing: set[tuple[str, ObjectId]],
) -> str | None:
    if listed is None:
        return "is not listed" if truth else None
    if truth is None:
        return "is listed and isn’t there"
    now = clock.now()
    late = (use_of(truth["used_at"], now), use_of(truth["used_at"], now - _AGED_WITHIN))
    aged = {**truth, "use": listed["use"] if listed.get("use") in late else truth["use"]}
    names = sorted(n for n in {*aged, *listed} if aged.get(n) != listed.get(n))
    if names:
        return f"is listed with another {', '.join(names)}"
    lost = [word for word in truth["words"] if (word, truth["_id"]) in missing]
    return f"isn’t found by {', '.join(lost)}" if lost else None


def _missing(rows: list[dict[str, Any]]) -> set[tuple[str, ObjectId]]:
    """The words of these rows that aren't there."""
    wanted = [{"w": word, "o": row["_id"]} for row in rows for word in row.get("words", ())]
    there = ListedWord._get_collection().find({"_id": {"$in": wanted}})
    return {(one["w"], one["o"]) for one in wanted} - {
        (row["_id"]["w"], row["_id"]["o"]) for row in there
    }


def _stray_words(*, repair: bool) -> Iterator[Difference]:
    """Words whose organization has them no longer."""
    collection = ListedWord._get_collection()
    after: dict[str, Any] = {}
    while entries := [
        row["_id"] for row in collection.find(after).sort("_id", 1).limit(_WORDS_AT_ONCE)
    ]:
        owners = list({entry["o"] for entry in entries})
        rows = ListedOrganization._get_collection().find({"_id": {"$in": owners}}, {"words": 1})
        words = {row["_id"]: set(row["words"]) for row in rows}
        for entry in entries:
            if entry["w"] not in words.get(entry["o"], ()) and _is_stray(entry, repair=repair):
                yield Difference(entry["o"], f"is found by {entry['w']}", stray=entry["w"])
        after = {"_id": {"$gt": entries[-1]}}


@transactional
def _is_stray(entry: dict[str, Any], *, repair: bool) -> bool:
    listed = {"_id": entry["o"], "words": entry["w"]}
    if ListedOrganization._get_collection().find_one(listed, {"_id": 1}):
        return False
    if repair:
        return bool(ListedWord._get_collection().delete_one({"_id": entry}).deleted_count)
    return ListedWord._get_collection().find_one({"_id": entry}) is not None
