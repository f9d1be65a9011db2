"""The shape of an organization's documents, read from a random sample of them."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import bson

from portal import clock
from portal.data import extended_json
from portal.data.access import DocumentAccess
from portal.data.bson_types import OBJECT
from portal.data.errors import QueryTooSlow
from portal.data.handles import documents_of
from portal.data.server_errors import reading, within
from portal.data.shape.fields import Node, Path, Step, Survey
from portal.data.shape.outliers import Outlier, outliers_of
from portal.data.shape.words import (
    Bar,
    Part,
    bars_of,
    examples_of,
    parts_of,
    percent,
    shown_path,
    types_in_words,
    values_in_words,
)
from portal.errors import PortalError
from portal.tenants import Tenant
from portal.tenants.elements import id_of

SAMPLED = 1000
MOST_BYTES = 32 * 1024 * 1024
"""The size of a sample: of larger documents it has fewer."""
MOST_COUNTED_IN = 100_000
"""The most documents in which outliers of a sample are counted."""
SAMPLING_SECONDS = 1.5
"""The time of a sample: what was drawn until then is it."""
_COUNTING_SECONDS = 1.0
_BATCH = 50
_MOST_KEYS_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Found:
    """Documents that stand out, in words with their number, or with their share of the sample where
    they were not counted; and the filter that matches exactly these."""

    words: str
    documents: int | None
    filter: dict[str, object]

    @property
    def text(self) -> str:
        """The filter as Extended JSON."""
        return extended_json.render(bson.encode(self.filter), relaxed=True)


@dataclass(frozen=True, slots=True)
class FieldShape:
    """A field: ``path`` are its names, ``parts`` the types of its values, ``share`` that of the
    documents that have it. Of a ``sensitive`` one neither values nor examples are told."""

    path: tuple[str, ...]
    name: str
    parts: tuple[Part, ...]
    types: str
    share: float
    values: str
    examples: tuple[str, ...]
    outliers: tuple[Found, ...]
    keys: tuple[str, ...] = ()
    different_keys: int = 0
    sensitive: bool = False

    @property
    def in_words(self) -> str:
        """The share of documents that have it."""
        return percent(self.share)

    @property
    def bars(self) -> list[Bar]:
        """Its types as the parts of a bar."""
        return bars_of(self.parts)


@dataclass(frozen=True, slots=True)
class Shape:
    """The fields of ``read`` documents drawn at random from ``total``, which are all where it is
    ``complete``."""

    fields: tuple[FieldShape, ...]
    read: int
    total: int
    complete: bool
    more_fields: bool
    at: datetime
    seconds: float


def shape_of(access: DocumentAccess) -> Shape:
    """The shape of the organization's documents, without fields that are masked for the caller.
    Raises QueryTooSlow."""
    began = time.monotonic()
    survey, complete, total = survey_of(access)
    outliers: list[tuple[Path, Outlier]] = []
    rows = []
    for path, node, above in survey.walk():
        if path[-1] is Step.ITEM or is_hidden(access, path):
            continue
        sensitive = _is_below(path, access.organization.masked_fields or ())
        found = [] if sensitive else outliers_of(survey, path, node, above)
        found = [each for each in found if _may_filter(access, each.filter)]
        outliers += [(path, each) for each in found]
        rows.append((path, node, above, sensitive, found))
    counts = _counted(access, survey, outliers, complete=complete, total=total)
    fields = tuple(_row(survey, counts, *row) for row in rows)
    return Shape(
        fields,
        survey.documents,
        max(total, survey.documents),
        complete,
        survey.more_fields or survey.cut,
        clock.now(),
        time.monotonic() - began,
    )


def survey_of(access: DocumentAccess) -> tuple[Survey, bool, int]:
    """A survey of a random sample; whether that was all documents; and how many there are. Raises
    QueryTooSlow."""
    handle, survey = documents_of(access.organization), Survey()
    with reading():
        total = handle.estimated_document_count()
        seen: set[bytes] = set()
        size_bytes, deadline = 0, time.monotonic() + SAMPLING_SECONDS
        for document in _sample(handle):
            size_bytes += len(document)
            document_id = id_of(document)
            if document_id in seen:  # the server may draw one twice
                continue
            seen.add(document_id)
            survey.add(access.mask.hide(document))
            if size_bytes > MOST_BYTES or time.monotonic() > deadline:
                break
        else:
            whole = survey.documents < SAMPLED and total <= SAMPLED and not survey.cut
            return survey, whole, total
    return survey, False, total


def is_hidden(access: DocumentAccess, path: Path) -> bool:
    """Tell whether the caller may not see what is at this path."""
    return access.mask.is_masked(".".join(step for step in path if isinstance(step, str)))


def _sample(handle: Tenant) -> Iterator[bytes]:
    drawn = handle.aggregate([{"$sample": {"size": SAMPLED}}], batchSize=_BATCH)
    for document in drawn:
        yield bytes(document.raw)


def _may_filter(access: DocumentAccess, query: dict[str, Any]) -> bool:
    try:
        access.mask.check_filter(query)
    except PortalError:
        return False
    return True


def _is_below(path: Path, paths: object) -> bool:
    names: list[str] = []
    for step in path:
        if isinstance(step, str):
            names.append(step)
            if ".".join(names) in paths:  # type: ignore[operator]
                return True
    return False


def _counted(
    access: DocumentAccess,
    survey: Survey,
    outliers: list[tuple[Path, Outlier]],
    *,
    complete: bool,
    total: int,
) -> dict[int, int]:
    """The number of documents of each outlier by its identity: of those that can be counted at
    once. Where all documents were read, they are counted already."""
    if complete:
        return {id(outlier): outlier.documents for _, outlier in outliers}
    counts: dict[int, int] = {}
    if total > MOST_COUNTED_IN:
        return counts
    handle, deadline = documents_of(access.organization), time.monotonic() + _COUNTING_SECONDS
    for _, outlier in outliers:
        left = deadline - time.monotonic()
        if left <= 0:
            break
        try:
            with within(left), reading():
                counts[id(outlier)] = handle.count_documents(outlier.filter)
        except QueryTooSlow:
            break
    return counts


def _row(
    survey: Survey,
    counts: dict[int, int],
    path: Path,
    node: Node,
    above: Node,
    sensitive: bool,
    outliers: list[Outlier],
) -> FieldShape:
    parts = parts_of(path, node, _base(survey, path, above))
    folded = path[-1] if isinstance(path[-1], Step) else None
    names = sorted(above.names[folded]) if folded else []
    types = types_in_words(node, parts)
    if folded:
        types += f"; {len(names):,} different keys of {folded.value}, folded into one"
    return FieldShape(
        path=tuple(step if isinstance(step, str) else f"‹{step.value}›" for step in path),
        name=shown_path(path),
        parts=tuple(parts),
        types=types,
        share=node.tally.documents / survey.documents,
        values="" if sensitive else values_in_words(path, node),
        examples=() if sensitive else tuple(examples_of(node)),
        outliers=tuple(_found(survey, each, counts.get(id(each))) for each in outliers),
        keys=() if sensitive else tuple(names[:_MOST_KEYS_SHOWN]),
        different_keys=len(names),
        sensitive=sensitive,
    )


def _base(survey: Survey, path: Path, above: Node) -> int | None:
    """The number of objects that the field could be in."""
    if isinstance(path[-1], Step):
        return None
    if len(path) == 1:
        return survey.documents
    return above.kinds[OBJECT].values if OBJECT in above.kinds else None


def _found(survey: Survey, outlier: Outlier, counted: int | None) -> Found:
    if counted is None:
        share = percent(outlier.documents / survey.documents)
        return Found(f"{share}: {outlier.words}", None, outlier.filter)
    return Found(f"{counted:,}: {outlier.words}", counted, outlier.filter)
