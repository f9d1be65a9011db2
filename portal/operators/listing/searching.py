"""Search: what was typed, found in the words of organizations.

Each typed word is the beginning of a word of a hit; nothing in it is a pattern. Pages look at the
first hits in the order of words; ``every_hit`` finds all.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from bson import ObjectId

from portal.database.paging import join
from portal.database.together import Part, Read, Stages, joined, read
from portal.documents.accounts import Account
from portal.documents.listing import ListedOrganization, ListedWord
from portal.documents.memberships import Membership
from portal.documents.organizations import Slug
from portal.email_addresses import find_email
from portal.operators.listing.words import LONGEST_WORD, fold, parts_of, typed_words

MOST_HITS = 300
LONGEST_SEARCH = 200
_LOOKED_AT = 1000
_MOST_LEADING = 3
_AT_ONCE = 1000
_LAST = "\U0010ffff"
_ADDRESS_OF_PAGE = re.compile(r"/organizations/([a-z0-9-]+)")
_NAMED_BY_ID = re.compile(r"(?:(?:t|new|trash)_)?([0-9a-f]{24})")
_OWN_COLLECTION = "org_"


@dataclass(frozen=True, slots=True)
class Search:
    """A search as typed: the ``exact`` organizations that it names by id, slug, collection or a
    member's address, and the ``words`` that others have to have. Of a ``member``, an account, the
    exact ones are the first, one more than MOST_HITS at most."""

    exact: tuple[ObjectId, ...]
    words: tuple[str, ...]
    member: ObjectId | None = None

    @property
    def words_match(self) -> dict[str, Any]:
        """The filter of rows that have all the words."""
        return _having(self.words)


@dataclass(frozen=True, slots=True)
class Hits:
    """The first hits: those among ``ids`` that are ``exact`` or have the rest of the words; not all
    where it isn't ``complete``."""

    ids: tuple[ObjectId, ...]
    exact: frozenset[ObjectId]
    rest: tuple[str, ...]
    complete: bool

    @property
    def match(self) -> dict[str, Any]:
        """The filter of their rows."""
        among: dict[str, Any] = {"_id": {"$in": list(self.ids)}}
        if not self.rest:
            return among
        return {**among, "$or": [{"_id": {"$in": list(self.exact)}}, _having(self.rest)]}


def parse_search(text: str) -> Search:
    """The search for a typed or pasted text."""
    return read(_reading_search(text))


def find_hits(text: str) -> Hits:
    """The first hits of a typed or pasted text."""
    return read(reading_hits(text))


def reading_hits(text: str) -> Part[Hits]:
    """Reads those: of one word the first MOST_HITS organizations, of several the first that have
    the rarest of them."""
    typed = tuple(typed_words(_unpasted(text)))
    search, *found = yield from joined(_reading_search(text), *map(_reading_first, _leading(typed)))
    if search.words != typed:
        found = yield from joined(*map(_reading_first, _leading(search.words)))
    counted = dict(zip(_leading(search.words), found, strict=True))
    rarest = min(counted, key=lambda word: len(counted[word]), default=None)
    entries = counted[rarest] if rarest is not None else []
    ids = tuple(dict.fromkeys((*search.exact, *entries)))
    rest = tuple(word for word in search.words if word != rarest)
    most = len(ids) if rest else MOST_HITS
    complete = len(entries) < _LOOKED_AT and len(ids) <= most
    return Hits(ids[:most], frozenset(search.exact), rest, complete)


def every_hit(search: Search, match: dict[str, Any], fields: list[str]) -> Iterator[dict[str, Any]]:
    """The row of each hit that matches, once, with its ``words`` and these fields; exact ones
    first. It reads them as they are asked for."""
    exact = dict.fromkeys(_organizations_of(search.member) if search.member else search.exact)
    fields = ["words", *fields]
    for batch in _batches(exact):
        yield from _rows(batch, match, fields)
    if not search.words:
        return
    leading, after = _rarest(search.words), None
    bounds = _begins_with(leading)
    while entries := _entries(bounds, after, _AT_ONCE):
        by_id: dict[ObjectId, set[str]] = {}
        for entry in entries:
            by_id.setdefault(entry["o"], set()).add(entry["w"])
        wanted = {"$and": [match, search.words_match]}
        for row in _rows([one for one in by_id if one not in exact], wanted, fields):
            # An organization stands under each of its words that begin so: the first one counts.
            first = min(word for word in row["words"] if word.startswith(leading))
            if first in by_id[row["_id"]]:
                yield row
        after = entries[-1]


def _unpasted(text: str) -> str:
    """The slug within the address of a page; what was typed, where it is none."""
    pasted = _ADDRESS_OF_PAGE.search(text)
    return pasted[1] if pasted else text.strip()


def _reading_search(text: str) -> Part[Search]:
    """Reads what a typed or pasted text names in full. A word with other characters inside is taken
    apart where no word begins with it as it is."""
    typed = _unpasted(text)
    if address := find_email(typed):
        [rows] = yield [Read(Account, _of_member(address.key))]
        own, begins = tuple(row["organization"] for row in rows), fold(address.key)[:LONGEST_WORD]
        return Search(own, (begins,), rows[0]["account"] if rows else None)
    words = typed_words(typed)
    composed = [word for word in words if parts_of(word) != [word]]
    slugs, *begun = yield [
        Read(Slug, _named(typed.lower())),
        *(Read(ListedWord, _first_words(word, 1)) for word in composed),
    ]
    unknown = {word for word, rows in zip(composed, begun, strict=True) if not rows}
    resolved = (parts_of(word) if word in unknown else [word] for word in words)
    by_id = _NAMED_BY_ID.fullmatch(typed.lower())
    named = [ObjectId(by_id[1])] if by_id else []
    return Search(
        (*named, *(row["organization"] for row in slugs)),
        tuple(dict.fromkeys(chain.from_iterable(resolved))),
    )


def _named(typed: str) -> Stages:
    """The organizations whose slug, former slug or collection this is."""
    slugs = [typed, typed.removeprefix(_OWN_COLLECTION).replace("_", "-")]
    return [{"$match": {"_id": {"$in": slugs}}}, {"$project": {"organization": 1}}]


def _of_member(address: str) -> Stages:
    """The memberships of the account with this address, so many that a page tells of more."""
    own: Stages = [{"$limit": MOST_HITS + 1}, {"$project": {"organization": 1, "account": 1}}]
    return [
        {"$match": {"email_key": address}},
        join(Membership, "_id", "account", "found", own),
        {"$unwind": "$found"},
        {"$replaceWith": "$found"},
    ]


def _organizations_of(account: ObjectId) -> Iterator[ObjectId]:
    """All organizations of the account, whatever its role in them."""
    own = Membership._get_collection().find({"account": account}, {"organization": 1, "_id": 0})
    return (row["organization"] for row in own)


def _batches(ids: Iterable[ObjectId]) -> Iterator[list[ObjectId]]:
    """The ids in lists of _AT_ONCE at most."""
    left = iter(ids)
    return iter(lambda: list(islice(left, _AT_ONCE)), [])


def _leading(words: tuple[str, ...]) -> list[str]:
    """The words of which one is looked up; long ones are rarer as a rule."""
    return sorted(words, key=len)[-_MOST_LEADING:]


def _reading_first(word: str) -> Part[list[ObjectId]]:
    """Reads the organizations of the first words that begin with this one, in their order, each as
    often as it has such words."""
    # As one array: to decode a document for each takes longer than to find them.
    pushed = {"$group": {"_id": None, "ids": {"$push": "$_id.o"}}}
    [rows] = yield [Read(ListedWord, [*_first_words(word, _LOOKED_AT), pushed])]
    return rows[0]["ids"] if rows else []


def _rarest(words: tuple[str, ...]) -> str:
    """The word that the fewest words begin with."""
    if len(words) == 1:
        return words[0]
    return min(words, key=lambda word: _count(word, _LOOKED_AT))


def _entries(
    bounds: dict[str, Any], after: dict[str, Any] | None, most: int
) -> list[dict[str, Any]]:
    """The first words within the bounds, each with its organization."""
    within = _of_id(bounds) if after is None else {**_of_id(bounds), "$gt": after}
    found = ListedWord._get_collection().find({"_id": within}, {"_id": 1}).sort("_id", 1)
    return [row["_id"] for row in found.limit(most)]


def _count(word: str, most: int) -> int:
    within = {"_id": _of_id(_begins_with(word))}
    return ListedWord._get_collection().count_documents(within, limit=most)


def _rows(ids: list[ObjectId], match: dict[str, Any], fields: list[str]) -> list[dict[str, Any]]:
    """The rows of these organizations that match, in this order."""
    shown = dict.fromkeys(("_id", *fields), 1)
    wanted = {"$and": [{"_id": {"$in": ids}}, match]}
    found = ListedOrganization._get_collection().find(wanted, shown, hint="_id_")
    by_id = {row["_id"]: row for row in found}
    return [by_id[one] for one in ids if one in by_id]


def _having(words: tuple[str, ...]) -> dict[str, Any]:
    """The filter of rows that have all these words."""
    return {"$and": [{"words": {"$elemMatch": _begins_with(word)}} for word in words]}


def _first_words(word: str, most: int) -> Stages:
    """The first words that begin with this one, by their index alone."""
    within = {"_id": _of_id(_begins_with(word))}
    return [{"$match": within}, {"$sort": {"_id": 1}}, {"$limit": most}, {"$project": {"_id": 1}}]


def _begins_with(word: str) -> dict[str, str]:
    return {"$gte": word, "$lt": word + _LAST}


def _of_id(bounds: dict[str, str]) -> dict[str, dict[str, str]]:
    """The bounds of words as those of their ids, which begin with them."""
    return {comparison: {"w": word} for comparison, word in bounds.items()}
