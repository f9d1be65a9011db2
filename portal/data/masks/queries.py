"""Checks that queries and updates reach no masked value, and the stages that take them out of
pipelines.

A filter or sort that reads a value tells it by what it finds. What can't be checked by its paths
alone, since it names a whole document, is refused.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from portal.data.masks.errors import FieldMasked, WholeDocumentMasked
from portal.data.masks.hiding import MASKED
from portal.data.masks.paths import MaskedPaths, Parts, ways_to
from portal.tenants.queries import STAGES

_LOGICAL = frozenset({"$and", "$or", "$nor"})
_HARMLESS = frozenset({"$comment", "$sampleRate", "$alwaysTrue", "$alwaysFalse"})
_WHOLE_DOCUMENT = frozenset({"$$ROOT", "$$CURRENT"})
# Others tell values: indexKey those of an index, geoNearPoint a place.
_METADATA = frozenset({"textScore", "sortKey", "recordId", "randVal", "geoNearDistance"})
# They pass documents on as they are, so what they read is checked, and their indexes are used.
_PASSING = frozenset({"$match", "$sort", "$limit", "$skip", "$sample"})
# After these a name may mean a field that the pipeline has made.
_RESHAPING = STAGES - _PASSING - {"$set", "$addFields", "$unset", "$unwind", "$redact"}
_VALUES_ONLY = frozenset({"$literal", "$const"})


def check_filter(
    masked: MaskedPaths,
    query: Any,
    text_paths: Callable[[], Iterable[str]] | None = None,
    within: str = "",
) -> None:
    """Raise FieldMasked for a filter that reads a masked path, or a parent of one.

    A text search is refused unless none of the ``text_paths``, which are those of the collection's
    text index, is masked.
    """
    if not isinstance(query, Mapping):
        return  # the server refuses it
    for name, condition in query.items():
        if name in _LOGICAL:
            for each in condition if isinstance(condition, list | tuple) else ():
                check_filter(masked, each, text_paths, within)
        elif name == "$expr":
            _check_expression(masked, condition)
        elif name == "$text":
            _check_text(masked, text_paths)
        elif name.startswith("$") and name not in _HARMLESS:
            raise WholeDocumentMasked(name)  # as $jsonSchema does
        elif not name.startswith("$"):
            _check_condition(masked, f"{within}.{name}" if within else name, condition)


def check_sort(masked: MaskedPaths, sort: Mapping[str, Any]) -> None:
    """Raise FieldMasked for a sort by a masked path, or a parent of one."""
    for path, direction in sort.items():
        if isinstance(direction, Mapping):
            _check_metadata(direction.get("$meta"))
        else:
            _check_path(masked, path)


def check_projection(masked: MaskedPaths, projection: Mapping[str, Any]) -> None:
    """Raise FieldMasked for a projection that computes something of a masked path, or of a parent
    of one. To include it is no fault: it is hidden."""
    for path, shown in projection.items():
        if not isinstance(shown, Mapping):
            _check_expression(masked, shown)
            continue
        others = dict(shown)
        if "$elemMatch" in others:
            check_filter(masked, others.pop("$elemMatch"), within=path)
        _check_expression(masked, others)


def check_pipeline(
    masked: MaskedPaths,
    pipeline: Sequence[Mapping[str, Any]],
    text_paths: Callable[[], Iterable[str]] | None = None,
) -> list[dict[str, Any]]:
    """The pipeline that reads nothing masked: it begins with the stages before which nothing is
    taken out, checked like filters and sorts; then masked paths are taken out.

    Raises FieldMasked for those, and where a later stage names a masked field of the documents.
    """
    stages = [dict(stage) for stage in pipeline]
    first = 0
    while first < len(stages) and next(iter(stages[first])) in _PASSING:
        [(name, body)] = stages[first].items()
        if name == "$match":
            check_filter(masked, body, text_paths)
        elif name == "$sort" and isinstance(body, Mapping):
            check_sort(masked, body)
        first += 1
    _check_stages(masked, stages[first:])
    return [*stages[:first], *taking_out(masked.paths), *stages[first:]]


def check_update(masked: MaskedPaths, update: Any) -> None:
    """Raise FieldMasked for an update that reads, sets, renames or replaces a masked path, or a
    parent of one."""
    if not isinstance(update, Mapping):
        _check_update_stages(masked, update)
        return
    for operator, changes in update.items():
        for path, value in changes.items() if isinstance(changes, Mapping) else ():
            _check_path(masked, path)
            if operator == "$rename":
                _check_path(masked, str(value))


def check_keys(masked: MaskedPaths, keys: Iterable[str]) -> None:
    """Raise FieldMasked for keys of an index that has masked values."""
    for path in keys:
        if "$**" in path:
            raise WholeDocumentMasked(path)
        _check_path(masked, path)


def taking_out(paths: Iterable[str]) -> list[dict[str, Any]]:
    """The stages that take masked paths out of documents, also where a dot is part of a name."""
    plain: list[str] = []
    at_top: list[str] = []
    deeper: dict[str, list[Parts]] = {}
    for path in paths:
        first, *others = path.split(".")
        if _is_plain(first) and all(map(_is_plain, others)):
            plain.append(path)
        if not _is_plain(first):
            at_top.append(first)
        for way in ways_to(path):
            if "." in way[0]:
                at_top.append(way[0])
            elif _is_plain(first) and not all(_is_plain(name) for name in way):
                deeper.setdefault(first, []).append(way[1:])
    stages: list[dict[str, Any]] = [{"$unset": plain}] if plain else []
    if at_top:
        stages.append({"$replaceWith": {"$arrayToObject": _without("$$ROOT", at_top, "field")}})
    if deeper:
        rebuilt = {first: _rebuilt(f"${first}", ways) for first, ways in deeper.items()}
        stages.append({"$set": rebuilt})
    return stages


def _check_condition(masked: MaskedPaths, path: str, condition: Any) -> None:
    """A condition on elements of a list reads what it names, not the list as a whole; and the type
    of what a masked field is in is shown."""
    if isinstance(condition, Mapping) and set(condition) == {"$elemMatch"}:
        inner = condition["$elemMatch"]
        if isinstance(inner, Mapping) and inner and not _is_operators(inner):
            check_filter(masked, inner, within=path)
            return
    if isinstance(condition, Mapping) and set(condition) == {"$not"}:
        _check_condition(masked, path, condition["$not"])
        return
    if isinstance(condition, Mapping) and set(condition) == {"$type"} and not masked.covering(path):
        return
    _check_path(masked, path)


def _is_operators(condition: Mapping[str, Any]) -> bool:
    first = next(iter(condition))
    return first.startswith("$") and first not in _LOGICAL


def _check_text(masked: MaskedPaths, text_paths: Callable[[], Iterable[str]] | None) -> None:
    if text_paths is None:
        raise WholeDocumentMasked("$text")
    check_keys(masked, text_paths())


def _check_path(masked: MaskedPaths, path: str) -> None:
    found = masked.related(path)
    if found is not None:
        raise FieldMasked(found)


def _check_metadata(kind: Any) -> None:
    if kind not in _METADATA:
        raise WholeDocumentMasked("$meta")


def _check_expression(masked: MaskedPaths, expression: Any) -> None:
    """Raise FieldMasked unless all that the expression reads of the document is apart from masked
    paths, however it goes on from there."""
    unseen = [expression]
    while unseen:
        seen = unseen.pop()
        if isinstance(seen, str):
            if seen in _WHOLE_DOCUMENT:
                raise WholeDocumentMasked(seen)
            path = _field_path(seen)
            if path is not None:
                _check_path(masked, path)
        elif isinstance(seen, Mapping):
            for name, value in seen.items():
                if name == "$getField":
                    _check_getting(masked, value)
                if name == "$meta":
                    _check_metadata(value)
                if name not in _VALUES_ONLY:
                    unseen.append(value)
        elif isinstance(seen, list | tuple):
            unseen += seen


def _check_getting(masked: MaskedPaths, body: Any) -> None:
    """``$getField`` without an input reads a field of the document by its literal name."""
    if isinstance(body, Mapping) and "input" in body:
        return  # which is looked at like any expression
    name = body.get("field", body) if isinstance(body, Mapping) else body
    if isinstance(name, Mapping) and set(name) <= _VALUES_ONLY:
        name = next(iter(name.values()), None)
    elif isinstance(name, str) and name.startswith("$"):
        name = None
    if not isinstance(name, str):
        raise WholeDocumentMasked("$getField")
    _check_path(masked, name)


def _field_path(text: str) -> str | None:
    """The path in the document that an expression's text reads; ``None`` for another text, and for
    a variable, whose value is an expression by itself."""
    for root in _WHOLE_DOCUMENT:
        if text.startswith(f"{root}."):
            return text.removeprefix(f"{root}.")
    return text[1:] if text.startswith("$") and not text.startswith("$$") else None


def _check_stages(masked: MaskedPaths, stages: Sequence[Mapping[str, Any]]) -> None:
    """Raise FieldMasked where a stage names a masked field, for which there would be nothing; up to
    the stage that makes documents of another shape. ``$meta`` is checked in all of them."""
    reshaped = False
    for stage in stages:
        [(name, body)] = stage.items()
        for each in _mentioned(body):
            if isinstance(each, tuple):
                _check_metadata(each[0])
            elif not reshaped and (path := _field_path(each)) is not None:
                _check_covered(masked, path)
        if not reshaped and name in ("$match", "$sort") and isinstance(body, Mapping):
            for path in body:
                _check_covered(masked, path)
        reshaped = reshaped or name in _RESHAPING


def _check_covered(masked: MaskedPaths, path: str) -> None:
    found = masked.covering(path)
    if found is not None:
        raise FieldMasked(found)


def _mentioned(body: Any) -> Iterable[Any]:
    """All texts in a stage that may be field paths, and, each in a tuple, kinds of metadata."""
    unseen = [body]
    while unseen:
        seen = unseen.pop()
        if isinstance(seen, str):
            yield seen
        elif isinstance(seen, Mapping):
            if "$meta" in seen:
                yield (seen["$meta"],)
            unseen += [value for name, value in seen.items() if name not in _VALUES_ONLY]
        elif isinstance(seen, list | tuple):
            unseen += seen


def _check_update_stages(masked: MaskedPaths, stages: Any) -> None:
    for stage in stages if isinstance(stages, list | tuple) else ():
        for name, body in stage.items() if isinstance(stage, Mapping) else ():
            if name in ("$set", "$addFields") and isinstance(body, Mapping):
                for path, value in body.items():
                    _check_path(masked, path)
                    _check_expression(masked, value)
            elif name == "$unset":
                for path in [body] if isinstance(body, str) else body:
                    _check_path(masked, str(path))
            else:
                raise WholeDocumentMasked(name)  # $project and $replaceWith keep nothing else


def _is_plain(name: str) -> bool:
    """Tell whether a path of a query can have this name in it."""
    return bool(name) and not name.startswith("$") and "." not in name


def _without(value: Any, names: Iterable[str], pair: str) -> dict[str, Any]:
    """The names and values of a document's fields but those of these names."""
    return {
        "$filter": {
            "input": {"$objectToArray": value},
            "as": pair,
            "cond": {"$not": {"$in": [f"$${pair}.k", {"$literal": sorted(set(names))}]}},
        }
    }


def _rebuilt(value: Any, ways: Sequence[Parts], depth: int = 0) -> dict[str, Any]:
    """The value, a document or a list of such, without the fields that the ``ways`` lead to. Of a
    list in a list nothing is left: expressions have no recursion."""
    element, rebuilt = f"element{depth}", f"list{depth}"
    is_list = {"$isArray": [value]}
    mapped = {
        "$map": {
            "input": {"$cond": [is_list, value, [value]]},
            "as": element,
            "in": _rebuilt_element(f"$${element}", ways, depth),
        }
    }
    whole = {
        "$let": {
            "vars": {rebuilt: mapped},
            "in": {"$cond": [is_list, f"$${rebuilt}", {"$first": f"$${rebuilt}"}]},
        }
    }
    # Missing stays missing: in a list it would become null.
    return {"$cond": [{"$eq": [{"$type": value}, "missing"]}, "$$REMOVE", whole]}


def _rebuilt_element(element: str, ways: Sequence[Parts], depth: int) -> dict[str, Any]:
    is_document = {"$eq": [{"$type": element}, "object"]}
    branches = [
        {"case": is_document, "then": {"$arrayToObject": _kept(element, ways, depth)}},
        {"case": {"$isArray": element}, "then": MASKED},
    ]
    return {"$switch": {"branches": branches, "default": element}}


def _kept(document: str, ways: Sequence[Parts], depth: int) -> dict[str, Any]:
    """The names and values of the document's fields, without those that the ``ways`` lead to."""
    dropped = {way[0] for way in ways if len(way) == 1 or not _is_plain(way[0])}
    inner: dict[str, list[Parts]] = {}
    for way in ways:
        if way[0] not in dropped:
            inner.setdefault(way[0], []).append(way[1:])
    pair = f"pair{depth}"
    kept = _without(document, dropped, pair)
    if not inner:
        return kept
    branches = [
        {
            "case": {"$eq": [f"$${pair}.k", {"$literal": name}]},
            "then": _rebuilt(f"$${pair}.v", below, depth + 1),
        }
        for name, below in inner.items()
    ]
    changed = {"$switch": {"branches": branches, "default": f"$${pair}.v"}}
    each = {"k": f"$${pair}.k", "v": changed}
    return {"$map": {"input": kept, "as": pair, "in": each}}
