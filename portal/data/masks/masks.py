"""Masks: fields that not everybody who reads documents may see."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from bson import DBRef, Decimal128

from portal.data.masks import hiding, queries
from portal.data.masks.errors import FieldMasked, MaskedText
from portal.data.masks.hiding import MASKED
from portal.data.masks.paths import MaskedPaths, outermost

__all__ = ["MASKED", "NOTHING_MASKED", "Mask"]

TextPaths = Callable[[], Iterable[str]]


@dataclass(frozen=True, slots=True)
class Mask:
    """The fields of an organization that somebody may not see, as dotted paths: each with all below
    it, in each element of the lists on its way. Who may see the ``sensitive`` ones can't write
    MASKED there."""

    paths: frozenset[str] = frozenset()
    sensitive: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.paths)

    @property
    def may_refuse(self) -> bool:
        """True where a document may be refused for what it has at a path."""
        return bool(self.paths or self.sensitive)

    def is_masked(self, path: str) -> bool:
        """Tell whether the value at a dotted path is hidden, by itself or with what it is in."""
        return self._masked.covering(path) is not None

    def reaches(self, path: str) -> bool:
        """Tell whether a dotted path is masked, below such a one, or a parent of one."""
        return self._masked.related(path) is not None

    def hide(self, document: bytes, projection: Mapping[str, Any] | None = None) -> bytes:
        """The document with MASKED for each masked value, null or missing one, as the last fields
        of what they are in. Where a ``projection`` was applied, none is added that it leaves
        out."""
        if not self.paths:
            return document
        paths = self._masked.paths
        shown = tuple(path for path in paths if _includes(projection, path))
        return hiding.hide(document, paths, shown)

    def check_path(self, path: str) -> None:
        """Raise FieldMasked where a dotted path is masked, below such a one, or a parent of one."""
        found = self._masked.related(path)
        if found is not None:
            raise FieldMasked(found)

    def check_filter(self, query: Mapping[str, Any], text_paths: TextPaths | None = None) -> None:
        """Raise FieldMasked where a filter reads a masked field; WholeDocumentMasked where it reads
        whole documents, as a text search does unless the ``text_paths`` are given, those of the
        collection's text index."""
        if self.paths:
            queries.check_filter(self._masked, _opened(query), text_paths)

    def check_sort(self, sort: Mapping[str, int]) -> None:
        """Raise FieldMasked where a sort reads a masked field."""
        if self.paths:
            queries.check_sort(self._masked, sort)

    def check_projection(self, projection: Mapping[str, Any] | None) -> None:
        """Raise FieldMasked where a projection computes with a masked field."""
        if self.paths and projection is not None:
            queries.check_projection(self._masked, _opened(projection))

    def check_keys(self, keys: Iterable[str]) -> None:
        """Raise FieldMasked where the keys of an index, or fields of a rule, are masked."""
        if self.paths:
            queries.check_keys(self._masked, keys)

    def check_update(self, update: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
        """Raise FieldMasked where an update reads, sets, renames or replaces a masked field."""
        if self.paths:
            queries.check_update(self._masked, _opened(update))

    def check_insert(self, document: bytes) -> None:
        """Raise FieldMasked where a new document has a masked field, MaskedText where a sensitive
        one is MASKED, as in what was exported by somebody who may not see it."""
        if not self.paths:
            self._check_text(document)
            return
        found = hiding.find_masked(document, self._masked.paths)
        if found is not None:
            raise FieldMasked(found)

    def merged(self, document: bytes, stored: bytes) -> bytes:
        """The replacement ``document`` of the ``stored`` one, with the stored values in place of
        MASKED. Raises FieldMasked unless all that is masked stands in it as ``hide`` shows it;
        MaskedText where a sensitive field would be MASKED."""
        if not self.paths:
            self._check_text(document)
            return document
        return hiding.merge(document, stored, self._masked.paths)

    def visible(
        self, pipeline: Sequence[Mapping[str, Any]], text_paths: TextPaths | None = None
    ) -> list[Mapping[str, Any]]:
        """The pipeline over documents without their masked fields. Raises FieldMasked where one is
        named, as what it would read is missing, or a filter or sort at the beginning reads one."""
        if not self.paths:
            return list(pipeline)
        return [*queries.check_pipeline(self._masked, _opened(pipeline), text_paths)]

    def _check_text(self, document: bytes) -> None:
        if not self.sensitive or MASKED.encode() not in document:
            return
        found = hiding.find_masked(document, _outermost(self.sensitive).paths, text=True)
        if found is not None:
            raise MaskedText(found)

    @property
    def _masked(self) -> MaskedPaths:
        return _outermost(self.paths)


NOTHING_MASKED = Mask()


@lru_cache(maxsize=256)
def _outermost(paths: frozenset[str]) -> MaskedPaths:
    return MaskedPaths(outermost(paths))


def _includes(projection: Mapping[str, Any] | None, path: str) -> bool:
    """Tell whether a projection leaves a path in documents that have it."""
    named = dict(_named(projection or {}))
    own_id = named.pop("_id", None)
    related = [name for name in named if MaskedPaths((path,)).related(name)]
    if any(named.values()) or (not named and own_id):
        return any(named[name] for name in related)
    return not any(MaskedPaths((name,)).covering(path) for name in related)


def _named(projection: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, bool]]:
    """The fields that a projection names, and whether it includes them; not those that it only
    shortens."""
    for name, shown in projection.items():
        path = f"{within}{name}"
        if isinstance(shown, Decimal128):
            yield path, bool(shown.to_decimal())
        elif not isinstance(shown, Mapping):
            yield path, bool(shown)
        elif not any(operator.startswith("$") for operator in shown):
            yield from _named(shown, f"{path}.")
        elif "$slice" not in shown:
            yield path, True


def _opened(value: Any) -> Any:
    """The query as the server reads it: a DBRef is a document, with any field in it."""
    if isinstance(value, DBRef):
        value = value.as_doc()
    if isinstance(value, Mapping):
        return {name: _opened(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_opened(each) for each in value]
    return value
