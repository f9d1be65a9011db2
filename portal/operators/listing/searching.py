"""Search: what was typed, found in the words of organizations.

Each typed word is the beginning of a word of a hit; nothing in it is a pattern. Pages look at the
first MOST_HITS in the order of words; ``every_hit`` finds all.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bson import ObjectId

from portal.documents.accounts import Account
from portal.documents.listing import ListedOrganization, ListedWord
from portal.documents.memberships import Membership
from portal.documents.organizations import Slug
from portal.email_addresses import find_email
from portal.operators.listing.words import LONGEST_WORD, fold, parts_of, typed_words

MOST_HITS = 300
LONGEST_SEARCH = 200
_LOOKED_AT = 1000
_AT_ONCE = 1000
_LAST = "\U0010ffff"
_ADDRESS_OF_PAGE = re.compile(r"/organizations/([a-z0-9-]+)")
_NAMED_BY_ID = re.compile(r"(?:(?:t|new|trash)_)?([0-9a-f]{24})")
_OWN_COLLECTION = "org_"


@dataclass(frozen=True, slots=True)
class Search:
    """A search as typed: the ``exact`` organizations that it names by id, slug, collection or a
    member's address, and the ``words`` that others have to have."""

    exact: tuple[ObjectId, ...]
    words: tuple[str, ...]

    @property
    def words_match(self) -> dict[str, Any]:
        """The filter of rows that have all the words."""
        return {"$and": [{"words": {"$elemMatch": _begins_with(word)}} for word in self.words]}


@dataclass(frozen=True, slots=True)
class Hits:
    """The ids of hits, exact ones first; the first ones where it isn't ``complete``."""

    ids: tuple[ObjectId, ...]
    exact: frozenset[ObjectId]
    complete: bool


def parse_search(text: str) -> Search:
    """The search for a typed or pasted text."""
    pasted = _ADDRESS_OF_PAGE.search(text)
    typed = pasted[1] if pasted else text.strip()
    if address := find_email(typed):
        return Search(_of_member(address.key), (fold(address.key)[:LONGEST_WORD],))
    return Search(tuple(_named(typed.lower())), tuple(_resolved(typed)))


def find_hits(search: Search) -> Hits:
    """The first hits."""
    ids, complete = _first_hits(search) if search.words else ([], True)
    found = dict.fromkeys((*search.exact, *ids))
    exact = frozenset(search.exact)
    return Hits(tuple(found)[:MOST_HITS], exact, complete and len(found) <= MOST_HITS)


def every_hit(search: Search, match: dict[str, Any], fields: list[str]) -> Iterator[dict[str, Any]]:
    """The row of each hit that matches, once, with its ``words`` and these fields; exact ones
    first. It reads them as they are asked for."""
    exact = set(search.exact)
    fields = ["words", *fields]
    yield from _rows(list(search.exact), match, fields)
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


def _resolved(text: str) -> Iterator[str]:
    """The typed words; one with other characters inside is taken apart where no word begins with
    it as it is."""
    for word in typed_words(text):
        parts = parts_of(word)
        if parts == [word] or _count(word, 1):
            yield word
        else:
            yield from parts


def _named(typed: str) -> Iterator[ObjectId]:
    """The organizations whose id, slug, former slug or collection this is."""
    if by_id := _NAMED_BY_ID.fullmatch(typed):
        yield ObjectId(by_id[1])
    slugs = [typed, typed.removeprefix(_OWN_COLLECTION).replace("_", "-")]
    for held in Slug._get_collection().find({"_id": {"$in": slugs}}, {"organization": 1}):
        yield held["organization"]


def _of_member(address: str) -> tuple[ObjectId, ...]:
    """The organizations of the account with this address, whatever its role in them."""
    account = Account.objects(email_key=address).only("id").first()
    if account is None:
        return ()
    return tuple(Membership.objects(account=account.id).limit(MOST_HITS).scalar("organization"))


def _first_hits(search: Search) -> tuple[list[ObjectId], bool]:
    leading = _rarest(search.words)
    bounds, alone = _begins_with(leading), len(search.words) == 1
    # Half of them have enough organizations as a rule, where all of them count.
    half = _LOOKED_AT // 2
    entries = _entries(bounds, None, half if alone else _LOOKED_AT)
    ids = _organizations(entries)
    if alone and len(entries) == half and len(ids) <= MOST_HITS:
        entries += _entries(bounds, entries[-1], half)
        ids = _organizations(entries)
    if not alone:
        having = {row["_id"] for row in _rows(ids, search.words_match, [])}
        return [one for one in ids if one in having][: MOST_HITS + 1], len(entries) < _LOOKED_AT
    return ids[: MOST_HITS + 1], len(entries) < _LOOKED_AT


def _organizations(entries: list[dict[str, Any]]) -> list[ObjectId]:
    """The organizations of these words, each once."""
    return list(dict.fromkeys(entry["o"] for entry in entries))


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


def _begins_with(word: str) -> dict[str, str]:
    return {"$gte": word, "$lt": word + _LAST}


def _of_id(bounds: dict[str, str]) -> dict[str, dict[str, str]]:
    """The bounds of words as those of their ids, which begin with them."""
    return {comparison: {"w": word} for comparison, word in bounds.items()}
