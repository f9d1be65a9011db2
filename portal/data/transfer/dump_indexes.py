"""The indexes that a collection had in the dump that is imported, to be built here too: those that
are chosen, each by a job."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from portal.data.access import DocumentAccess, document_access
from portal.data.errors import InvalidIndex, InvalidQuery, NeedsOwnPlacement
from portal.data.indexes.builds import begin_build, is_other, list_indexes
from portal.data.indexes.conflicts import expiring_by
from portal.data.indexes.listing import (
    FAILED,
    LANGUAGE_FIELD,
    IndexSpec,
    ListedIndex,
    check_spec,
    index_from,
    language_field_of,
)
from portal.data.masks.errors import FieldMasked
from portal.data.transfer.errors import IndexNotOffered, IndexWouldDelete
from portal.data.transfer.stages import Import
from portal.database.background import wake
from portal.documents.jobs import Job
from portal.jobs.running import LOOP
from portal.organizations.access.lookup import Access
from portal.web.context import RequestContext


@dataclass(frozen=True, slots=True)
class DumpIndex:
    """An index of a dump as it was there, or the ``refusal`` to build it; a ``note`` on what it
    does otherwise here; and the index of its name that is ``here``, is being built or could not
    be."""

    name: str
    index: ListedIndex | None = None
    refusal: str | None = None
    note: str | None = None
    here: ListedIndex | None = None

    @property
    def is_offered(self) -> bool:
        """True where it may be built."""
        return self.index is not None and (self.here is None or self.here.state == FAILED)


def indexes_of_dump(access: DocumentAccess, found: Import) -> list[DumpIndex]:
    """The indexes of the collection that is imported, without that of ``_id``; none where the file
    is no dump."""
    member = next((each for each in found.members if each.name == found.options.member), None)
    if member is None or member.metadata is None or not member.metadata.indexes:
        return []
    here = {each.name: each for each in list_indexes(access.organization)}
    return [_dump_index(access, stored, here) for stored in member.metadata.indexes]


def begin_builds(
    access: Access, found: Import, names: Collection[str], context: RequestContext
) -> list[Job]:
    """Have jobs build the indexes of these names; those of builds that were not begun before.

    Raises IndexNotOffered, and IndexWouldDelete for one that would delete documents at once, or
    nobody knows how many, with nothing begun; and what ``begin_build`` raises.
    """
    seen = document_access(access, context)
    offered = {each.name: each for each in indexes_of_dump(seen, found)}
    chosen = [offered[name] for name in names if name in offered]
    if not chosen or len(chosen) < len(names) or any(each.refusal for each in chosen):
        raise IndexNotOffered
    specs = [each.index.spec for each in chosen if each.index is not None and each.is_offered]
    for spec in specs:
        _check_expiry(seen, spec)
    jobs = [begin_build(access, spec, context) for spec in specs]
    wake(LOOP)
    return [job for job in jobs if job is not None]


def _check_expiry(access: DocumentAccess, spec: IndexSpec) -> None:
    if spec.expire_after_seconds is None:
        return
    expiring = expiring_by(access, spec)
    if expiring is None or expiring.at_once.count:
        number = "an unknown number of" if expiring is None else f"{expiring.at_once.count:,}"
        raise IndexWouldDelete(spec.full_name, number)


def _dump_index(
    access: DocumentAccess, stored: Mapping[str, Any], here: Mapping[str, ListedIndex]
) -> DumpIndex:
    name = str(stored.get("name", ""))
    try:
        index = index_from(stored)
        check_spec(access, index.spec)
    except (InvalidIndex, InvalidQuery) as error:
        return DumpIndex(name, refusal=error.reason)
    except (FieldMasked, NeedsOwnPlacement) as error:
        return DumpIndex(name, refusal=error.words)
    same = here.get(name)
    if same is not None and same.state != FAILED and is_other(same.spec, index.spec):
        return DumpIndex(name, refusal="Another index has its name.")
    return DumpIndex(name, index, note=_note_on(stored), here=same)


def _note_on(stored: Mapping[str, Any]) -> str | None:
    field = language_field_of(stored)
    if field is None:
        return None
    return (
        f"A document chose the language of its texts by its field {field}; here it is "
        f"{LANGUAGE_FIELD}."
    )
