"""Errors of the data API, with their words. None has a value of a document in it."""

from dataclasses import dataclass
from typing import Self

from portal.errors import Conflict, Invalid, NotFound, PortalError, Unavailable
from portal.web.errors import InvalidInput

_LONGEST_PLACE = 200


class InvalidExtendedJson(InvalidInput):
    """A text that is no Extended JSON, or stands for no document; ``fields`` names the place."""

    code = "invalid_extended_json"
    title = "This is no Extended JSON"
    message = "Correct the JSON at {names}. Nothing was changed."

    @classmethod
    def at(cls, where: str, reason: str) -> Self:
        """The fault at a JSON pointer; empty for the whole."""
        place = where if len(where) <= _LONGEST_PLACE else f"…{where[-_LONGEST_PLACE:]}"
        return cls({place or "/": reason[:1].upper() + reason[1:] + "."})


class InvalidDocumentId(Invalid):
    """A document's id in a URL that stands for no value."""

    code = "invalid_document_id"
    title = "This is no document’s id"
    message = (
        "Send the id in the path as 24 hexadecimal digits, as a bare word, as URL-encoded Extended "
        "JSON, or as ~ and base64url. Nothing was changed."
    )


class UnreadableDocumentId(InvalidDocumentId):
    """A document's id with text that is no UTF-8, which can be sent in no query."""

    title = "No query can name this document"
    message = (
        "Its _id has text that is no UTF-8, which no query can have in it. A program finds it by "
        "another field, and can insert it with a new _id and delete the old one. Nothing was "
        "changed."
    )


class DocumentNotFound(NotFound):
    code = "document_not_found"
    message = "No document has this id. Nothing was changed."


class PreconditionFailed(PortalError):
    """The document has another version than the request names."""

    status = 412
    code = "precondition_failed"
    title = "The document was changed meanwhile"
    message = "The document is not the one that If-Match names. Read it again. Nothing was changed."


@dataclass
class InvalidQuery(Invalid):
    """A filter, sort, projection, pipeline or update that can't be run."""

    reason: str

    code = "invalid_query"
    title = "This query can’t be run"
    message = "{reason} Nothing was changed."


class NoCursor(InvalidQuery):
    """No page begins behind a document that has text in what is sorted by which is no UTF-8."""

    def __init__(self) -> None:
        super().__init__(
            "Documents have text that is no UTF-8 in what they are sorted by, so no page begins "
            "behind them. Sort the other way, or narrow the filter."
        )


@dataclass
class UnreadableForCursor(InvalidQuery):
    """The server can't read a document of a page, so no page begins behind it."""

    reason: str = "A document on this page can’t be read: sort by _id to read on."


class WrongPageSize(InvalidQuery):
    """A page of no document, or of too many."""

    def __init__(self, most: int) -> None:
        super().__init__(f"A page has 1 to {most} documents.")


class TooManyConditions(InvalidQuery):
    """A filter has too many conditions."""

    def __init__(self, most: int) -> None:
        super().__init__(f"A filter has {most} conditions at most.")


@dataclass
class ConditionNotJson(InvalidQuery):
    """A condition in a URL is no JSON."""

    reason: str = "A condition in the URL is no JSON."


@dataclass
class ConditionNotTexts(InvalidQuery):
    """A condition in a URL is JSON of another form."""

    reason: str = "A condition in the URL is a list of texts."


class WrongNumberInserted(InvalidQuery):
    """No document is to be inserted, or too many are at once."""

    def __init__(self, most: int) -> None:
        super().__init__(f"Send 1 to {most} documents at once, or a stream of more.")


@dataclass
class IdReplaced(InvalidQuery):
    """A replacement has another id than the document."""

    reason: str = "The _id of a document stays: send the one in the path, or none."


class OperatorInReplacement(InvalidQuery):
    """An update was sent as a replacement."""

    def __init__(self, operator: str) -> None:
        super().__init__(f"A replacement has no operators: {operator}.")


class UnappliedFilter(Invalid):
    """A condition was begun and isn't part of the filter that is to be used."""

    code = "unapplied_filter"
    title = "A condition isn’t part of the filter yet"
    message = "Add the condition that you began, or clear it, and try again. Nothing was changed."


@dataclass
class IndexNeeded(Invalid):
    """A query that would scan more documents than are allowed without an index."""

    keys: str

    code = "index_needed"
    title = "This query needs an index"
    message = (
        "This would read more than 100,000 documents one by one. Create the index {keys}, or "
        "narrow the filter to fields that have one."
    )


class QueryTooSlow(Invalid):
    """The server stopped a query at its time limit."""

    code = "query_too_slow"
    title = "This query takes too long"
    message = (
        "The server stopped it after 4 seconds. Narrow its filter, or create an index for it. "
        "Nothing was changed."
    )


class ResultTooLarge(Invalid):
    """The result of an aggregation has more than one answer may have."""

    code = "result_too_large"
    title = "This result is too large"
    message = (
        "The result has more than 16 MB. Group or limit it, or read documents page by page or as a "
        "stream. Nothing was changed."
    )


class QueryCancelled(Unavailable):
    """The client hung up, so the server ended its query. Nobody reads this."""

    code = "cancelled"
    title = "This was cancelled"
    message = "The client hung up, so the query was ended."


@dataclass
class DuplicateDocument(Conflict):
    """A unique index has the keys of another document; without their values."""

    index_keys: str

    code = "duplicate_key"
    title = "There is such a document already"
    message = "Another document has the same {index_keys}, which is unique. Nothing was changed."


class DocumentInvalid(Invalid):
    """The collection's validator refuses the document."""

    code = "document_invalid"
    title = "The document breaks a rule of its collection"
    message = "The collection’s validator refuses this document. Nothing was changed."


@dataclass
class WriteRefused(Invalid):
    """The server refuses a write; ``reason`` is its code."""

    reason: str

    code = "write_refused"
    title = "The server refuses this"
    message = "MongoDB refuses this write: {reason}. Nothing was changed."


class IndexAddedBeside(WriteRefused):
    """A shared collection has a unique index that the portal did not make."""

    def __init__(self, keys: str) -> None:
        super().__init__(
            f"somebody added a unique index on {keys} to the collection that this organization "
            "shares. Whoever runs this portal drops it"
        )


class FieldTwice(Invalid):
    """An update of a document that has a field twice, which MongoDB doesn't do right."""

    code = "field_twice"
    title = "A document has a field twice"
    message = (
        "A document that this would change has a field twice, so it can only be replaced as a "
        "whole. Nothing was changed."
    )


@dataclass
class PartlyDone(Invalid):
    """A write of many documents that stopped after some batches, which are kept."""

    done: int
    reason: str

    code = "partly_done"
    title = "This was done in part"
    message = "{done} documents are changed, no other: {reason}"


@dataclass
class ImportStopped(InvalidInput):
    """A stream of documents that ended at a fault; ``inserted`` are kept."""

    inserted: int

    code = "import_stopped"
    title = "The import stopped"
    message = (
        "{inserted} documents are inserted, no other. Correct {names}, and send all again with the "
        "same Idempotency-Key: what is inserted is passed over."
    )


class StreamBrokeOff(ImportStopped):
    """The stream of documents broke off, for a ``cause``."""

    def __init__(self, cause: str, inserted: int) -> None:
        super().__init__({"stream": f"It broke off: {cause}."}, inserted)


class EditOvertaken(Conflict):
    """Another process appended the same batch to an edit of many documents."""

    code = "edit_overtaken"
    title = "Somebody else does this"
    message = "Another process goes on with this edit. Look at it again in a moment."


@dataclass
class PathNotFound(Invalid):
    """A change of a field inside of a value that has no fields, or at a position that a list
    hasn't."""

    path: tuple[str | int, ...]

    code = "path_not_found"
    title = "There is no such field"
    message = "The document has no place for {name}. Nothing was changed."

    @property
    def name(self) -> str:
        """The path in words."""
        return words_of(self.path)


@dataclass
class FieldExists(Conflict):
    """A field would get the name of another one beside it."""

    path: tuple[str | int, ...]

    code = "field_exists"
    title = "There is such a field already"
    message = "The document has a field {name} already. Nothing was changed."

    @property
    def name(self) -> str:
        """The path in words."""
        return words_of(self.path)


@dataclass
class EditTooLarge(Invalid):
    """An edit of which more would be kept than an organization may have."""

    documents: int

    code = "edit_too_large"
    title = "This is too much to be undone"
    message = (
        "Of {documents} documents and more it would keep over 1 GB, which is all that is kept of "
        "edits. Change fewer documents at once."
    )


@dataclass
class InvalidIndex(Invalid):
    """An index that can't be built."""

    reason: str

    code = "invalid_index"
    title = "This index can’t be built"
    message = "{reason} Nothing was changed."


@dataclass
class IndexNameTaken(InvalidIndex):
    """Another index has the name."""

    reason: str = "Another index has this name. Drop that one first, or choose another name."


class NotInPartialFilter(InvalidIndex):
    """The filter of a partial index has an operator that MongoDB doesn't take there."""

    def __init__(self, operator: str) -> None:
        super().__init__(
            f"The filter of a partial index can’t have {operator}: MongoDB takes $eq, $in, $gt, "
            "$gte, $lt, $lte, $type, $exists: true, $and and $or there."
        )


@dataclass
class InvalidRules(Invalid):
    """A schema that can't be one, or that MongoDB doesn't take."""

    reason: str

    code = "invalid_rules"
    field = "schema"
    title = "These rules can’t be"
    message = "{reason} Nothing was changed."


class SchemaTooLong(InvalidRules):
    """A schema has too many bytes."""

    def __init__(self, most_bytes: int) -> None:
        super().__init__(f"A schema has {most_bytes:,} bytes at most.")


class SchemaTooDeep(InvalidRules):
    """A schema is nested too deep."""

    def __init__(self, most_levels: int) -> None:
        super().__init__(f"A schema is nested {most_levels} levels at most.")


class TooManyClauses(InvalidRules):
    """A schema has too many clauses."""

    def __init__(self, most: int) -> None:
        super().__init__(f"A schema has {most} clauses at most.")


class NoSchemaKeyword(InvalidRules):
    """A schema has a keyword that belongs to what a schema stands in."""

    def __init__(self, keyword: str) -> None:
        super().__init__(f"{keyword} is no keyword of a schema: send what stands in $jsonSchema.")


@dataclass
class UnknownEnforcement(InvalidRules):
    """A level or an action that rules don't have."""

    reason: str = "The level is moderate or strict, the action error or warn."


@dataclass
class RulesBroken(Conflict):
    """More documents break the rules than the caller knew of."""

    breaking: str

    code = "rules_broken"
    title = "Documents break these rules"
    message = (
        "{breaking} documents break these rules, more than you were told. Look at them, and put "
        "the rules into force again. Nothing was changed."
    )


class IndexNotFound(NotFound):
    code = "index_not_found"
    message = "No index has this name. Nothing was changed."


class RulesNotFound(NotFound):
    code = "rules_not_found"
    message = "No such rules were in force, or they aren’t kept any more."


@dataclass
class WouldExpire(Conflict):
    """An index by which documents would be deleted as soon as it is there."""

    documents: str

    code = "would_expire"
    field = "deletes"
    title = "This index would delete documents"
    message = "{documents} would be deleted within a minute, for good. Say that you want that."


@dataclass
class MightExpire(WouldExpire):
    """The documents that the index would delete can't be counted in time."""

    documents: str = "An unknown number of documents"


@dataclass
class TooManyIndexes(Conflict):
    """The organization has as many indexes as it may."""

    limit: int

    code = "too_many_indexes"
    title = "There are too many indexes"
    message = "An organization has {limit} indexes at most. Drop one first."


@dataclass
class NeedsOwnPlacement(Conflict):
    """An organization that shares a collection with others asks for ``what`` only one of its own
    has."""

    what: str

    code = "needs_own_placement"
    title = "It shares a collection with others"
    message = (
        "What was asked for needs a collection of its own ({what}), and this organization shares "
        "one with others. Nothing was changed. Whoever runs the portal can place it apart."
    )


class SearchTooWide(NeedsOwnPlacement):
    """A search that no index serves leads through too many documents of a shared collection."""

    def __init__(self, most: int) -> None:
        super().__init__(f"a search through more than {most:,} documents")


def words_of(path: tuple[str | int, ...]) -> str:
    """A literal path for people: a name with a dot or without a letter stands in quotes, bytes that
    aren't UTF-8 as escapes."""
    return ".".join(_name_in_words(part) for part in path) or "the document"


def _name_in_words(part: str | int) -> str:
    name = str(part).encode(errors="surrogateescape").decode(errors="backslashreplace")
    return f"“{name}”" if not name.strip() or "." in name else name
