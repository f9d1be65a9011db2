"""Sensitive fields of an organization: chosen, no longer, and suggested by their names."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl

from werkzeug.datastructures import MultiDict

from portal.audit.trail import ListedEvent, record
from portal.data.access import operator_access
from portal.data.errors import (
    InvalidExtendedJson,
    InvalidQuery,
)
from portal.data.masks.errors import FieldMasked, InvalidMask, TooManyMasks
from portal.data.masks.masks import Mask
from portal.data.masks.paths import parse_path
from portal.data.selections import Selection, selection_from
from portal.data.shape.fields import Path, Step
from portal.data.shape.sampling import survey_of
from portal.data.shape.words import percent
from portal.data.structure.sensitive_names import kind_of
from portal.database.transactions import transactional
from portal.documents.api_keys import ApiKey
from portal.documents.audit import AuditEvent
from portal.documents.credentials import Credential
from portal.documents.document_views import DocumentView
from portal.documents.memberships import Membership, Role
from portal.documents.organizations import Organization
from portal.organizations.access.lookup import Access, begin_change
from portal.permissions import of_api_key
from portal.web.context import RequestContext

MOST_MASKED = 100
MASKED, UNMASKED, PASSED_OVER = "field_masked", "field_unmasked", "field_passed_over"
_MASKED_EVENT, _UNMASKED_EVENT = "field.masked", "field.unmasked"
_MOST_SUGGESTED = 50


@dataclass(frozen=True, slots=True)
class SensitiveField:
    """A masked path, since when, and by whom in words; ``None`` where that isn't known any more."""

    path: str
    since: datetime | None = None
    by: str | None = None


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A field that may be sensitive: what it probably has, its share of the documents, and the
    views of everybody that viewers would have no longer, by name."""

    path: str
    kind: str
    share: float
    views: tuple[str, ...] = ()

    @property
    def in_words(self) -> str:
        """The share in words."""
        return percent(self.share)


@dataclass(frozen=True, slots=True)
class Readers:
    """The readers of documents: the number of viewers, API keys that see masked values by name and
    the number of all, and MongoDB users, which see them too, by name."""

    viewers: int
    unmasking_keys: tuple[str, ...]
    keys: int
    mongodb_users: tuple[str, ...]


def sensitive_fields(organization: Organization) -> list[SensitiveField]:
    """The masked fields by path."""
    events = AuditEvent.objects(chain=organization.id, action=_MASKED_EVENT).order_by("-seq")
    masked: dict[str, ListedEvent] = {}
    for event in map(ListedEvent.of, events.limit(10 * MOST_MASKED).as_pymongo()):
        masked.setdefault(event.details.get("field", ""), event)
    found = []
    for path in sorted(organization.masked_fields or ()):
        known = masked.get(path)
        since, by = (known.at, known.actor_shown) if known else (None, None)
        found.append(SensitiveField(path, since, by))
    return found


@transactional
def mask_field(access: Access, path: str, context: RequestContext) -> Organization:
    """Have those without ``documents.unmask`` see no value at a dotted path from the next request
    on; a no-op where it is so already.

    Raises InvalidMask, TooManyMasks, NotFound where the organization is no longer active, Forbidden
    for who may no longer choose, DuplicateRequest.
    """
    path = parse_path(path)
    organization = begin_change(
        access, context, MASKED, access.organization.id, permission="documents.mask"
    )
    masked = list(organization.masked_fields or ())
    if path in masked:
        return organization
    if len(masked) >= MOST_MASKED:
        raise TooManyMasks(MOST_MASKED)
    organization.update(push__masked_fields=path, pull__passed_over_fields=path)
    organization.masked_fields = [*masked, path]
    record(organization, _MASKED_EVENT, context.origin, field=path)
    return organization


@transactional
def unmask_field(access: Access, path: str, context: RequestContext) -> Organization:
    """Show the values at a path to all who read documents; a no-op where it isn't masked. Who may
    not see them can't do so. Otherwise like ``mask_field``."""
    access.require("documents.unmask")
    path = parse_path(path)  # one that can't be masked would be told again at any length
    organization = begin_change(
        access, context, UNMASKED, access.organization.id, permission="documents.mask"
    )
    masked = list(organization.masked_fields or ())
    if path not in masked:
        return organization
    organization.update(pull__masked_fields=path)
    organization.masked_fields = [each for each in masked if each != path]
    record(organization, _UNMASKED_EVENT, context.origin, field=path)
    return organization


@transactional
def pass_over(access: Access, path: str, context: RequestContext) -> Organization:
    """Suggest a field no longer. Raises like ``mask_field``."""
    path = parse_path(path)
    organization = begin_change(
        access, context, PASSED_OVER, access.organization.id, permission="documents.mask"
    )
    organization.update(add_to_set__passed_over_fields=path)
    return organization


def suggestions(organization: Organization) -> tuple[list[Suggestion], int]:
    """Fields that may be sensitive by their names and are neither masked nor passed over, and the
    number of documents that were read. Raises QueryTooSlow."""
    survey, _, _ = survey_of(operator_access(organization))
    views = _shared_views(organization)
    mask = Mask(frozenset(organization.masked_fields or ()))
    passed_over = set(organization.passed_over_fields or ())
    found: dict[str, Suggestion] = {}
    for steps, node, _ in survey.walk():
        path, kind = _path_of(steps), kind_of(str(steps[-1]))
        if path is None or kind is None or mask.is_masked(path) or path in passed_over:
            continue
        if not any(path.startswith(f"{above}.") for above in found):
            share = node.tally.documents / survey.documents
            found.setdefault(path, Suggestion(path, kind, share, _using(path, views)))
    return list(found.values())[:_MOST_SUGGESTED], survey.documents


def readers_of(organization: Organization) -> Readers:
    """The readers of documents by pages, by API, and by MongoDB."""
    keys = ApiKey.objects(organization=organization.id).only("name", "role", "permissions")
    reading = [(key.name, of_api_key(key.role, key.permissions or ())) for key in keys]
    users = Credential.objects(organization=organization.id).only("name")
    return Readers(
        Membership.objects(organization=organization.id, role=Role.VIEWER).count(),
        tuple(name for name, may in reading if {"documents.read", "documents.unmask"} <= may),
        sum("documents.read" in may for _, may in reading),
        tuple(user.name for user in users),
    )


def _shared_views(organization: Organization) -> dict[str, Selection]:
    """The selections of the views that everybody has, by their names."""
    found = {}
    for view in DocumentView.objects(organization=organization.id, account=None):
        args = MultiDict(parse_qsl(view.query, keep_blank_values=True))
        try:
            found[view.name] = selection_from(args, building=True)
        except (InvalidQuery, InvalidExtendedJson):  # kept by another version: it opens nowhere
            continue
    return found


def _using(path: str, views: Mapping[str, Selection]) -> tuple[str, ...]:
    """The names of the views that filter or sort by a path."""
    mask, names = Mask(frozenset({path})), []
    for name, selection in views.items():
        try:
            mask.check_filter(selection.filter)
            mask.check_sort(selection.sort)
        except FieldMasked:
            names.append(name)
        except (InvalidQuery, InvalidExtendedJson):
            continue  # it shows nothing as it is
    return tuple(names)


def _path_of(steps: Path) -> str | None:
    """The masked path of a field that a survey found; ``None`` where none means it."""
    names: Iterable[str | Step] = [step for step in steps if step is not Step.ITEM]
    if steps[-1] is Step.ITEM or any(isinstance(name, Step) for name in names):
        return None
    path = ".".join(map(str, names))
    return path if _is_valid(path) else None


def _is_valid(path: str) -> bool:
    try:
        parse_path(path)
    except InvalidMask:
        return False
    return True
