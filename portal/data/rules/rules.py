"""Rules: the validator of an organization's collection, as a JSON Schema, tried before it is put
into force."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import bson

from portal import clock
from portal.audit.trail import record
from portal.data.access import DocumentAccess, document_access
from portal.data.document_ids import address_of, decoded, is_readable
from portal.data.errors import (
    InvalidQuery,
    InvalidRules,
    NeedsOwnPlacement,
    QueryTooSlow,
    RulesBroken,
    TooManyClauses,
    UnknownEnforcement,
)
from portal.data.handles import documents_of
from portal.data.masks.errors import WholeDocumentMasked
from portal.data.rules.breaking import Broken, words_of_broken
from portal.data.rules.schemas import (
    Clause,
    Schema,
    breaking,
    clauses_of,
    line_of,
    lines_of,
    text_of,
)
from portal.data.rules.versions import Version, keep_version
from portal.data.server_errors import reading, within
from portal.database.clusters import database_of
from portal.database.transactions import transactional
from portal.documents.audit import AuditEvent
from portal.documents.organizations import Organization, Strategy
from portal.organizations.access.lookup import Access, begin_change
from portal.organizations.storage import tenant_of
from portal.tenants.elements import field_of
from portal.web import rate_limits
from portal.web.context import RequestContext

CHANGED = "rules_changed"
MODERATE, STRICT = "moderate", "strict"
REFUSE, WARN = "error", "warn"
MOST_BREAKING = 10_000
"""The number of documents that break rules above which it is told that there are more."""
MOST_CLAUSES = 200
TRYING_SECONDS = 1.5
SAMPLED = 250
"""The documents that rules are tried on where all would take longer."""
_EXAMPLES = 5
_DEVIATIONS = 3  # by which two samples of the same documents differ in one case of hundreds
# Which fields they read can't be told by their names.
_OF_ANY_FIELD = frozenset(
    {"patternProperties", "additionalProperties", "minProperties", "maxProperties"}
)


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules in force: a schema, and conditions beside it that are none. ``level`` and
    ``action`` are MongoDB's words; ``by`` and ``at`` tell the last change by the portal."""

    schema: dict[str, Any] | None = None
    others: dict[str, Any] | None = None
    level: str = STRICT
    action: str = REFUSE
    at: datetime | None = None
    by: str | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """The number of documents that are known to break rules: of all, or ``of`` so many in a random
    sample. More than MOST_BREAKING stands for any number."""

    breaking: int
    of: int | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial of rules: the number of documents that break them, of ``tried`` ones, which are a
    sample unless ``complete``; and an example of each of the commonest faults."""

    breaking: int
    more: bool
    tried: int
    complete: bool
    examples: tuple[Broken, ...]
    lines: tuple[int, ...]
    filter: str
    at: datetime

    @property
    def number(self) -> str:
        """The number that break them, in words."""
        return f"more than {MOST_BREAKING:,}" if self.more else f"{self.breaking:,}"

    @property
    def known(self) -> Known:
        """The knowledge that it gives."""
        if self.more:
            return Known(MOST_BREAKING + 1)
        return Known(self.breaking, None if self.complete else self.tried)

    def exceeds(self, known: Known) -> bool:
        """Tell whether more documents break the rules than is known. A sample's number is the least
        there is; beside another sample's its share counts, but for what is mere chance."""
        if self.more or not known.of or not self.tried:
            return self.known.breaking > known.breaking
        share = min(known.breaking / known.of, 1)
        chance = _DEVIATIONS * math.sqrt(share * (1 - share) * (1 / known.of + 1 / self.tried))
        return self.breaking / self.tried > share + chance


def rules_of(organization: Organization) -> Rules:
    """The rules in force. Raises NeedsOwnPlacement in a shared collection."""
    check_placement(organization)
    placement = organization.placement
    listing = {"listCollections": 1, "filter": {"info.uuid": bson.Binary.from_uuid(placement.uuid)}}
    database = database_of(placement)
    rows = database.command(listing, codec_options=database.client.codec_options)
    options: dict[str, Any] = next((row["options"] for row in rows["cursor"]["firstBatch"]), {})
    validator = dict(options.get("validator") or {})
    schema = validator.pop("$jsonSchema", None)
    if schema is None and not validator:
        return Rules()
    event = _last_change(organization)
    return Rules(
        schema,
        validator or None,
        options.get("validationLevel", STRICT),
        options.get("validationAction", REFUSE),
        event and event.at,
        event and name_of(event),
    )


def name_of(event: AuditEvent) -> str | None:
    """The name of who did what an event of the trail tells, unless that was erased."""
    name: str | None = event.personal.get("email", {}).get("value") or event.actor_name
    return name


def visible_rules(access: DocumentAccess) -> Rules:
    """The rules in force, for somebody who may see all that they name. Raises FieldMasked,
    NeedsOwnPlacement."""
    found = rules_of(access.organization)
    check_visible(access, found.schema or {})
    access.mask.check_filter(found.others or {})
    return found


def check_visible(access: DocumentAccess, schema: Schema) -> None:
    """Raise FieldMasked where a schema names what the caller may not see."""
    _check_mask(access, list(clauses_of(schema)))


def _last_change(organization: Organization) -> AuditEvent | None:
    events = AuditEvent.objects(chain=organization.id, action="rules.changed")
    return events.order_by("-seq").first()


def check_placement(organization: Organization) -> None:
    """Raise NeedsOwnPlacement in a shared collection."""
    if organization.placement.strategy == Strategy.SHARED:
        raise NeedsOwnPlacement("a validator")


def try_rules(access: DocumentAccess, schema: Schema) -> Trial:
    """Try the rules on the documents there are: on all of them within TRYING_SECONDS, else on a
    random sample. Raises InvalidRules, FieldMasked, NeedsOwnPlacement, QueryTooSlow."""
    check_placement(access.organization)
    clauses = _checked(access, schema)
    try:
        with within(TRYING_SECONDS):
            return _try(access, schema, clauses, None)
    except QueryTooSlow:
        return _try(access, schema, clauses, SAMPLED)


def set_rules(
    access: Access,
    schema: Schema | None,
    context: RequestContext,
    *,
    level: str = MODERATE,
    action: str = REFUSE,
    known: Known | None = None,
) -> None:
    """Put the rules into force in place of the schema that is, or end all that are. Conditions
    beside it that are no schema stay. With what is ``known`` they are tried once more, and refused
    if more documents break them, or more of a sample. Recorded in the audit trail, without values,
    and kept as a version.

    Raises InvalidRules, RulesBroken, FieldMasked, NeedsOwnPlacement, TooManyAttempts, NotFound,
    Forbidden.
    """
    check_placement(access.organization)
    if level not in (MODERATE, STRICT) or action not in (REFUSE, WARN):
        raise UnknownEnforcement
    seen = document_access(access, context)
    if schema is not None:
        _checked(seen, schema)
        _check_taken(seen, schema)
    elif seen.mask:
        check_visible(seen, rules_of(access.organization).schema or {})
    rate_limits.count_attempt(rate_limits.MEMBER_CHANGES, str(access.organization.id))
    if schema is not None and known is not None:
        trial = try_rules(seen, schema)
        if trial.exceeds(known):
            number = trial.number if trial.complete else f"at least {trial.number}"
            raise RulesBroken(number.capitalize())
    found = rules_of(access.organization)
    before = None if found.schema is None else Version(found.schema, found.level, found.action)
    after = None if schema is None else Version(dict(schema), level, action)
    _record_changed(access, before, after, context)
    others = found.others or {}
    validator = {**others, "$jsonSchema": schema} if schema is not None else {}
    tenant_of(access.organization)._execution.change(
        "collMod", validator=validator, validationLevel=level, validationAction=action
    )


@transactional
def _record_changed(
    access: Access, before: Version | None, after: Version | None, context: RequestContext
) -> None:
    organization = begin_change(
        access, context, CHANGED, access.organization.id, permission="indexes.manage"
    )
    if after is None:
        event = record(organization, "rules.ended", context.origin)
    else:
        names = dict.fromkeys(each.path[0] for each in clauses_of(after.schema) if each.path)
        fields = ", ".join(names)[:500] or "whole documents"
        event = record(organization, "rules.changed", context.origin, fields=fields)
    keep_version(organization.id, event.seq, before, after)


def _checked(access: DocumentAccess, schema: Schema) -> list[Clause]:
    clauses = list(clauses_of(schema))
    if len(clauses) > MOST_CLAUSES:
        raise TooManyClauses(MOST_CLAUSES)
    _check_mask(access, clauses)
    return clauses


def _check_mask(access: DocumentAccess, clauses: list[Clause]) -> None:
    for clause in clauses if access.mask else ():
        simple = clause.keyword not in _OF_ANY_FIELD and not _has_schemas(clause.value)
        if not simple:
            raise WholeDocumentMasked(clause.keyword)
        access.mask.check_path(clause.name)


def _has_schemas(value: Any) -> bool:
    """Tell whether there are schemas in a value, as in ``anyOf`` and ``not``."""
    values = value if isinstance(value, list) else [value]
    return any(isinstance(each, Mapping) for each in values)


def _check_taken(access: DocumentAccess, schema: Schema) -> None:
    """Raise InvalidRules where MongoDB takes no such schema."""
    try:
        with reading():
            next(iter(documents_of(access.organization).find({"$jsonSchema": schema}, limit=1)), 0)
    except InvalidQuery as error:
        raise InvalidRules(error.reason) from error


def _try(
    access: DocumentAccess, schema: Schema, clauses: list[Clause], sampled: int | None
) -> Trial:
    handle = documents_of(access.organization)
    facets: dict[str, Any] = {"all": [{"$count": "n"}]}
    for number, clause in enumerate(clauses):
        facets[f"c{number}"] = [
            {"$match": clause.breaking},
            {"$group": {"_id": 1, "n": {"$sum": 1}, "first": {"$first": "$_id"}}},
        ]
    pipeline: list[dict[str, Any]] = [
        *([{"$sample": {"size": sampled}}] if sampled else []),
        {"$match": breaking(schema)},
        {"$limit": MOST_BREAKING + 1},
        {"$facet": facets},
    ]
    try:
        with reading():
            total = handle.estimated_document_count()
            [row] = [bytes(each.raw) for each in handle.aggregate(pipeline)]
    except InvalidQuery as error:
        raise InvalidRules(error.reason) from error
    failing = _first_of(row, "all")
    count = int(failing["n"]) if failing else 0
    counted = []
    for number, clause in enumerate(clauses):
        group = _group_of(row, f"c{number}")
        if group is not None:
            found = _first_of(row, f"c{number}") or {}
            counted.append((clause, int(found["n"]), group))
    lines = lines_of(schema)
    examples = _examples(access, counted, lines)
    return Trial(
        breaking=min(count, MOST_BREAKING),
        more=count > MOST_BREAKING,
        tried=min(sampled, total) if sampled else total,
        complete=sampled is None,
        examples=tuple(examples),
        lines=tuple(sorted({line_of(lines, clause) for clause, _, _ in counted})),
        filter=text_of(breaking(schema)),
        at=clock.now(),
    )


def _examples(
    access: DocumentAccess, counted: list[tuple[Clause, int, bytes]], lines: list[Any]
) -> list[Broken]:
    found: list[Broken] = []
    handle = documents_of(access.organization)
    for clause, number, group in sorted(counted, key=lambda each: -each[1])[:_EXAMPLES]:
        document_id = field_of(group, "first")
        if document_id is None or not is_readable(document_id):
            continue
        by_id = {"_id": {"$eq": decoded(document_id)}}
        stored = next(iter(handle.find(by_id, limit=1)), None)
        if stored is None:  # deleted meanwhile
            continue
        words = words_of_broken(clause, access.mask.hide(bytes(stored.raw)))
        line = line_of(lines, clause)
        found.append(Broken(clause, words, line, number, address_of(document_id)))
    return found


def _group_of(row: bytes, name: str) -> bytes | None:
    """The document in a facet of one group."""
    found = field_of(row, name)
    rows = found[6:-1] if found else b"\x05\0\0\0\0"
    first = field_of(rows, "0")
    return first[6:-1] if first else None


def _first_of(row: bytes, name: str) -> dict[str, Any] | None:
    group = _group_of(row, name)
    number = field_of(group, "n") if group else None
    return None if number is None else {"n": decoded(number)}
