"""PyMongo's arguments as fields of commands."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

import bson
from bson import DBRef, Decimal128, ObjectId
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions, DatetimeConversion, TypeDecoder
from bson.raw_bson import RawBSONDocument
from pymongo import ASCENDING
from pymongo.errors import ConfigurationError

from . import limits
from .elements import field_of
from .elements import with_id as encoded_with_id
from .errors import NotOffered, QueryRefused
from .queries import check_expressions, check_filter
from .unsupported import INSTEAD_OF_OPTION

Document = Mapping[str, Any]
Sort = str | Sequence[str | tuple[str, Any]] | Mapping[str, Any]

_TOLERANT: CodecOptions[Any] = CodecOptions(
    document_class=RawBSONDocument,
    uuid_representation=UuidRepresentation.STANDARD,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)


def received(codec_options: CodecOptions) -> CodecOptions:
    """The options by which documents come. Where types have decoders, as they are stored: PyMongo
    leaves those out in replies to commands."""
    if decoding(codec_options) is None:
        return codec_options
    return codec_options.with_options(document_class=RawBSONDocument)


def decoding(codec_options: CodecOptions) -> Callable[[RawBSONDocument], Any] | None:
    """The function that decodes what came so, if types have decoders."""
    codecs = codec_options.type_registry.codecs
    if not (codecs and any(isinstance(each, TypeDecoder) for each in codecs)):
        return None
    return lambda document: bson.decode(document.raw, codec_options)


def decoded(document: RawBSONDocument, codec_options: CodecOptions) -> Any:
    """The document as these options return it, of one that came by ``received``."""
    decode = decoding(codec_options)
    return document if decode is None else decode(document)


def client_defaults(uri: str) -> dict[str, Any]:
    """The options of a client unless the ``uri`` has them."""
    named = {part.partition("=")[0].lower() for part in re.split("[&;]", uri.partition("?")[2])}
    defaults = {"maxIdleTimeMS": round(limits.IDLE_SECONDS * 1000)}
    return {name: value for name, value in defaults.items() if name.lower() not in named}


def given(others: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    """The fields that have a value. Raises NotOffered and TypeError for ``others``."""
    refuse_options(others, INSTEAD_OF_OPTION)
    return {name: value for name, value in fields.items() if value is not None}


def missing(owner: object, name: str, instead: Mapping[str, str]) -> AttributeError:
    """The error for an attribute that isn't there, perhaps with what to use ``instead``."""
    if name in instead:
        return NotOffered(name, instead[name])
    return AttributeError(f"{type(owner).__name__!r} object has no attribute {name!r}")


def refuse_options(others: Mapping[str, Any], instead: Mapping[str, str]) -> None:
    """Raise NotOffered for an option that has something ``instead``, unless it says nothing, and
    TypeError for all others."""
    for name, value in others.items():
        if name not in instead:
            raise TypeError(f"unexpected keyword argument {name!r}")
        if value is not None and value is not False:
            raise NotOffered(name, instead[name])


def variables(let: Document | None) -> Document | None:
    """Variables of a query. Raises QueryRefused."""
    if let:
        check_expressions(let)
        if "CURRENT" in let:  # "$_id" would be its field, also in what placements add
            raise QueryRefused("CURRENT is the document, and no variable of let")
    return let


def find_fields(
    filter: Document | None,
    projection: Document | Iterable[str] | None,
    skip: int,
    sort: Sort | None,
    hint: Any,
    collation: Any,
    max_time_ms: int | None,
    let: Document | None,
    comment: Any,
    others: Mapping[str, Any],
) -> dict[str, Any]:
    """The fields of ``find``. Raises QueryRefused."""
    filter = {} if filter is None else filter
    check_filter(filter)
    order = sort_document(sort) if sort else None
    if order:
        check_expressions(order)
    return given(
        others,
        filter=filter,
        projection=None if projection is None else projection_document(projection),
        skip=skip or None,
        sort=order,
        hint=hint_value(hint),
        collation=collation_document(collation),
        maxTimeMS=max_time_ms,
        let=variables(let),
        comment=comment,
    )


def statement(
    filter: Document,
    hint: Any,
    collation: Any,
    array_filters: Sequence[Document] | None = None,
    sort: Sort | None = None,
) -> dict[str, Any]:
    """The parts of a statement that updates or deletes. Raises QueryRefused."""
    check_filter(filter)
    for each in array_filters or ():
        check_filter(each)
    order = sort_document(sort) if sort else None
    if order:
        check_expressions(order)
    return given(
        {},
        q=filter,
        hint=hint_value(hint),
        collation=collation_document(collation),
        arrayFilters=array_filters,
        sort=order,
    )


class Positions:
    """The base of results that have positions, which Python would else iterate by where a result is
    iterated in no other way, as is the asynchronous form."""

    __iter__: Any = None


def bounds_of(part: slice) -> tuple[int, int | None]:
    """The number of documents before a slice of a result, and in it if it ends. Raises IndexError,
    as PyMongo's cursor does."""
    skip = part.start or 0
    if part.step is not None or skip < 0:
        raise IndexError("a slice of a result has no step, and no negative index")
    if part.stop is None:
        return skip, None
    if part.stop < skip:
        raise IndexError(f"a slice of a result ends behind its start: {part!r}")
    return skip, part.stop - skip


def database_of(uri: str) -> str:
    """The database that a URI's path names; nothing is looked up in DNS. Raises ConfigurationError
    where it names none."""
    database = unquote(uri.partition("://")[2].partition("/")[2].partition("?")[0])
    if not database:
        raise ConfigurationError("the URI names no database: its path is the master database")
    return database


def sort_document(sort: Sort) -> dict[str, Any]:
    """A sort in any of PyMongo's forms."""
    if isinstance(sort, str):
        return {sort: ASCENDING}
    if isinstance(sort, Mapping):
        return dict(sort)
    return dict((key, ASCENDING) if isinstance(key, str) else key for key in sort)


def projection_document(projection: Document | Iterable[str]) -> dict[str, Any]:
    """A projection in any of PyMongo's forms."""
    if isinstance(projection, Mapping):
        check_expressions(projection)
        return dict(projection) or {"_id": 1}
    if isinstance(projection, str):
        raise QueryRefused("a projection is a document, or a list of names")
    return dict.fromkeys(projection, 1) or {"_id": 1}


def hides_id(projection: Document) -> bool:
    """Tell whether the projection leaves out the ``_id``."""
    return "_id" in projection and flag_of(projection["_id"]) is False


def keeps_id(projection: Document) -> bool:
    """Tell whether the projection returns the ``_id`` as it is stored, if any of it."""
    return not any(
        str(name).startswith("_id.") or (name == "_id" and flag_of(value) is None)
        for name, value in projection.items()
    )


def with_shown_id(projection: Document) -> dict[str, Any]:
    """The projection, with the ``_id``."""
    others = {name: value for name, value in projection.items() if name != "_id"}
    return {**others, "_id": 1} if includes_fields(others) else others


def includes_fields(projection: Document) -> bool:
    """Tell whether the projection returns the fields that it names, and no others but the ``_id``:
    else all but those that it leaves out."""
    others = [value for name, value in projection.items() if name != "_id"]
    included = _include(others)
    return bool(flag_of(projection.get("_id"))) if included is None else included


def _include(values: Iterable[Any]) -> bool | None:
    """Tell whether a projection that has these includes fields, or leaves out some; ``None`` where
    they are of neither kind."""
    told = [each for each in map(_includes, values) if each is not None]
    return any(told) if told else None


def _includes(value: Any) -> bool | None:
    if (flag := flag_of(value)) is not None:
        return flag
    if not isinstance(value, Mapping):
        return True
    names = [*value]
    if names and str(names[0]).startswith("$"):
        return None if names[0] in ("$slice", "$meta") else True
    return _include(value.values())


def flag_of(value: Any) -> bool | None:
    """The flag of a field in a projection, if that is all that is said of it."""
    if isinstance(value, Decimal128):
        value = value.to_decimal()
    return bool(value) if isinstance(value, int | float | Decimal) else None


def hint_value(hint: Any) -> Any:
    """A hint in any of PyMongo's forms."""
    return hint if hint is None or isinstance(hint, str) else sort_document(hint)


def collation_document(collation: Any) -> Any:
    """A collation in any of PyMongo's forms."""
    return getattr(collation, "document", collation)


def collates(collation: Any, value: Any) -> bool:
    """Tell whether by this collation another value may be equal: one that is a string or has
    some."""
    if collation is None or collation.get("locale") == "simple":
        return False
    return isinstance(value, str | Mapping | DBRef)


def with_id(document: Any) -> Any:
    """The document with an ``_id``, which is set in what the caller gave, as by PyMongo."""
    if isinstance(document, dict):
        if "_id" not in document:
            document["_id"] = ObjectId()
        return document
    if not isinstance(document, Mapping):
        raise TypeError(f"a document is a mapping, not {type(document).__name__}")
    if isinstance(document, RawBSONDocument):
        return RawBSONDocument(encoded_with_id(bytes(document.raw))[0], _TOLERANT)
    if "_id" not in document:
        document["_id"] = ObjectId()  # type: ignore[index]
    return document


def id_of(document: Any) -> Any:
    """The document's ``_id``, whatever else of an encoded one Python has no values for."""
    if isinstance(document, RawBSONDocument):
        found = field_of(bytes(document.raw), "_id")
        if found is None:
            raise KeyError("_id")
        return RawBSONDocument(found, _TOLERANT)[""]
    return document["_id"]


def raw_without_id(document: RawBSONDocument) -> RawBSONDocument:
    """The encoded document without its ``_id``, which the server always puts first."""
    length = len(bson.encode({"_id": id_of(document)}, codec_options=_TOLERANT)) - 5
    rest = bytes(document.raw)[4 + length :]
    return RawBSONDocument((len(rest) + 4).to_bytes(4, "little") + rest)
