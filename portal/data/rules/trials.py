"""Documents that are not stored tried on filters and rules, by the server itself."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from bson.raw_bson import RawBSONDocument

from portal.data.handles import RAW
from portal.data.rules.rules import MOST_CLAUSES, Rules
from portal.data.rules.schemas import Clause, clauses_of
from portal.database.clusters import database_of
from portal.documents.organizations import Organization
from portal.tenants.elements import end_of_value, framed, id_of

_INT32 = b"\x10"


def breaking_filter(rules: Rules) -> dict[str, Any]:
    """The filter of the documents that break the rules."""
    schema = {} if rules.schema is None else {"$jsonSchema": rules.schema}
    return {"$nor": [{**(rules.others or {}), **schema}]}


def matching_among(
    organization: Organization, query: Mapping[str, Any], documents: Sequence[bytes]
) -> set[int]:
    """The places of the documents that match. They fit one command, and each has an ``_id`` of its
    own in front."""
    found = {id_of(bytes(row.raw)) for row in _among(organization, documents, [{"$match": query}])}
    return {place for place, document in enumerate(documents) if id_of(document) in found}


def broken_clauses(
    organization: Organization, rules: Rules, documents: Sequence[bytes]
) -> dict[int, Clause | None]:
    """The places of the documents that break the rules, each with the first clause that it breaks;
    ``None`` where it breaks no clause of the schema, or one about its ``_id``."""
    broken = sorted(matching_among(organization, breaking_filter(rules), documents))
    found: dict[int, Clause | None] = dict.fromkeys(broken)
    clauses = [
        clause
        for clause in islice(clauses_of(rules.schema or {}), MOST_CLAUSES)
        if clause.path[:1] != ("_id",)
    ]
    if not broken or not clauses:
        return found
    facets = {
        f"c{number}": [{"$match": clause.breaking}, {"$group": {"_id": 1, "n": {"$push": "$_id"}}}]
        for number, clause in enumerate(clauses)
    }
    numbered = [_numbered(documents[place], place) for place in broken]
    [row] = _among(organization, numbered, [{"$facet": facets}])
    for number, clause in enumerate(clauses):
        for group in row[f"c{number}"]:
            for place in group["n"]:
                found[place] = found[place] or clause
    return found


def _among(
    organization: Organization, documents: Sequence[bytes], stages: list[dict[str, Any]]
) -> list[RawBSONDocument]:
    if not documents:
        return []
    given = {"$literal": [RawBSONDocument(document, RAW) for document in documents]}
    database = database_of(organization.placement).with_options(codec_options=RAW)
    return list(database.aggregate([{"$documents": given}, *stages]))


def _numbered(document: bytes, number: int) -> bytes:
    """The document with a number in place of its ``_id``, which may be long."""
    rest = document[end_of_value(document, document[4], 9) : -1]
    return framed(_INT32 + b"_id\0" + number.to_bytes(4, "little") + rest)
