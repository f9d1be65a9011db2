"""Records tried on what refuses documents beside their key: the collection's rules, and its other
unique indexes. Of many records some are tried, so a check takes hardly longer."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from portal.data.access import DocumentAccess
from portal.data.errors import QueryTooSlow
from portal.data.exact import among
from portal.data.formats.records import Fault, Record
from portal.data.handles import documents_of
from portal.data.indexes.listing import ID_INDEX, ListedIndex, ready_indexes
from portal.data.masks.errors import FieldMasked
from portal.data.rules.rules import MODERATE, REFUSE, Rules, visible_rules
from portal.data.rules.trials import breaking_filter, broken_clauses, matching_among
from portal.data.server_errors import reading, within
from portal.data.transfer.faults import broken_rule
from portal.data.transfer.identities import identified, identified_as
from portal.data.transfer.lookups import KeyValue, key_of
from portal.documents.organizations import Strategy
from portal.tenants.elements import id_of

ALL_TRIED = 5000
"""The first records of a file, all of which are tried."""
TRIED = 200
"""The records that are tried of each batch behind."""
_AT_ONCE = 100
_BYTES_AT_ONCE = 4 * 1024 * 1024
_SECONDS = 5

_Keys = tuple[KeyValue, ...]


class Entry(NamedTuple):
    """A record with a document, the ``word`` that it is counted by, the ``_id`` that it is written
    with, where that is another document's or record's, and its key where it is the first with
    it."""

    record: Record
    word: str
    replaced: bytes | None = None
    key: KeyValue | None = None


class Candidate(NamedTuple):
    """A record that is tried: its document as it would be written, in place of another or not."""

    number: int
    document: bytes
    replaces: bool


class Trial:
    """A trial of a file's records: on ``rules``, unless they read what the caller may not see, and
    on unique ``indexes``, but for those that no lookup of a key can use."""

    def __init__(self, access: DocumentAccess) -> None:
        self.organization = access.organization
        self.rules: Rules | None = None
        self.indexes: list[ListedIndex] = []
        if self.organization.placement.strategy == Strategy.SHARED:
            return
        try:
            rules = visible_rules(access)
            if (rules.schema is not None or rules.others) and rules.action == REFUSE:
                self.rules = rules
        except FieldMasked:  # it shows when the records are written
            self.rules = None
        self.indexes = [
            index
            for index in ready_indexes(self.organization)
            if index.unique and index.name != ID_INDEX and _is_looked_up(access, index)
        ]

    @property
    def tries_anything(self) -> bool:
        """False where nothing but the key can refuse a record."""
        return self.rules is not None or bool(self.indexes)

    def stored(self) -> dict[str, Any]:
        """The rules and indexes that it tries, as the check keeps them."""
        return {
            "rules": self.rules is not None,
            "indexes": [index.name for index in self.indexes],
        }

    def faults(self, candidates: Sequence[Candidate]) -> tuple[dict[int, Fault], int]:
        """The faults by the numbers of records, and how many were tried, which are fewer where that
        takes too long."""
        faults: dict[int, Fault] = {}
        tried = 0
        seen: dict[str, set[_Keys]] = {index.name: set() for index in self.indexes}
        for some in _together(candidates):
            try:
                with within(_SECONDS), reading():
                    found = dict(self._faults(some, seen))
            except QueryTooSlow:
                break
            faults |= found
            tried += len(some)
        return faults, tried

    def _faults(
        self, some: Sequence[Candidate], seen: dict[str, set[_Keys]]
    ) -> Iterator[tuple[int, Fault]]:
        for index in self.indexes:
            yield from self._not_unique(index, some, seen[index.name])
        if self.rules is not None:
            yield from self._broken(self.rules, some)

    def _broken(self, rules: Rules, some: Sequence[Candidate]) -> Iterator[tuple[int, Fault]]:
        documents = [each.document for each in some]
        broken = broken_clauses(self.organization, rules, documents)
        replaced = [place for place in broken if some[place].replaces]
        if replaced and rules.level == MODERATE:
            # One that breaks them as it is may go on doing so.
            ids = [id_of(documents[place]) for place in replaced]
            query = among(ids, breaking_filter(rules))
            found = documents_of(self.organization).find(query, {"_id": 1})
            already = {id_of(bytes(each.raw)) for each in found}
            for place, document_id in zip(replaced, ids, strict=True):
                if document_id in already:
                    del broken[place]
        for place, clause in broken.items():
            column, keyword = (clause.name or None, clause.keyword) if clause else (None, "")
            yield some[place].number, broken_rule(column, keyword)

    def _not_unique(
        self, index: ListedIndex, some: Sequence[Candidate], seen: set[_Keys]
    ) -> Iterator[tuple[int, Fault]]:
        paths, named = list(index.keys), ", ".join(index.keys)
        if index.partial_filter:
            documents = [each.document for each in some]
            places = matching_among(self.organization, index.partial_filter, documents)
            some = [some[place] for place in sorted(places)]
        own: dict[_Keys, Candidate] = {}
        for each in some:
            keys = _keys_of(each.document, paths)
            if keys is not None and keys in seen:
                words = f"Another record of the file has the same {named}, which is unique"
                yield each.number, Fault(words, paths[0])
            elif keys is not None:
                seen.add(keys)
                own[keys] = each
        for stored in self._stored(index, own):
            keys = _keys_of(stored, paths)
            found = own.get(keys) if keys is not None else None
            if found is not None and id_of(stored) != id_of(found.document):
                words = f"Another document has the same {named}, which is unique"
                yield found.number, Fault(words, paths[0])

    def _stored(self, index: ListedIndex, wanted: Iterable[_Keys]) -> Iterator[bytes]:
        """The stored documents that have these keys, as far as they tell."""
        equal = [
            {path: {"$eq": key.value} for path, key in zip(index.keys, keys, strict=True)}
            for keys in wanted
        ]
        if not equal:
            return
        query = {"$and": [index.partial_filter or {}, {"$or": equal}]}
        handle = documents_of(self.organization)
        for document in handle.find(query, dict.fromkeys(index.keys, 1)):
            yield bytes(document.raw)


def some_of(entries: Sequence[Entry], before: int) -> list[Candidate]:
    """The entries of a batch that are tried, where ``before`` were: of those that become one
    document, one."""
    most = max(TRIED, ALL_TRIED - before)
    made: dict[bytes, Candidate] = {}
    for record, _, replaced, _ in entries[:: -(-len(entries) // most) or 1]:
        document = record.document or b""
        document = identified(document) if replaced is None else identified_as(document, replaced)
        made[id_of(document)] = Candidate(record.number, document, replaced is not None)
    return list(made.values())


def _is_looked_up(access: DocumentAccess, index: ListedIndex) -> bool:
    """Tell whether documents are found by a key of the index, and the caller may know."""
    is_plain = all(kind in (1, -1) for kind in index.keys.values()) and not index.hidden
    return is_plain and not any(access.mask.reaches(path) for path in index.keys)


def _keys_of(document: bytes, paths: Iterable[str]) -> _Keys | None:
    """The values in these fields; ``None`` where one is missing, or is no key that is looked up."""
    keys = []
    for path in paths:
        key = key_of(document, path)
        if isinstance(key, str):
            return None
        keys.append(key)
    return tuple(keys)


def _together(candidates: Iterable[Candidate]) -> Iterator[list[Candidate]]:
    """The candidates in parts that fit one command."""
    part: list[Candidate] = []
    size_bytes = 0
    for each in candidates:
        size_bytes += len(each.document)
        if part and (len(part) == _AT_ONCE or size_bytes > _BYTES_AT_ONCE):
            yield part
            part, size_bytes = [], len(each.document)
        part.append(each)
    if part:
        yield part
