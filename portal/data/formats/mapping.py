"""The mapping of a CSV file's columns to fields, checked before row 1."""

from collections.abc import Iterator
from dataclasses import dataclass

from portal.data.formats.dates import pattern_of, zone_of
from portal.data.formats.headings import WHOLE_DOCUMENT, path_text
from portal.data.formats.options import Column, ColumnType

_Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class MappingFault:
    """A column of a mapping that can't stay as it is: its place, and the reason in words."""

    index: int
    reason: str


def check_mapping(columns: tuple[Column, ...]) -> list[MappingFault]:
    """The faults of a mapping before row 1: a field twice, ``a`` beside ``a.b``, a list with
    a gap, no name, a layout that is none. Empty if nothing is."""
    taken = {
        index: column
        for index, column in enumerate(columns)
        if column.type not in (ColumnType.LEFT_OUT, ColumnType.DOCUMENT)
    }
    whole = any(column.type == ColumnType.DOCUMENT for column in columns)
    if not taken and not whole:
        return [MappingFault(0, "Every column is left out.")]
    paths = {column.path: index for index, column in reversed(taken.items())}
    checked = ((index, _fault(column, index, paths)) for index, column in taken.items())
    return [MappingFault(index, reason) for index, reason in checked if reason]


def _fault(column: Column, index: int, paths: dict[_Path, int]) -> str | None:
    reasons = (*_name_faults(column), *_neighbour_faults(column, index, paths))
    return next(iter((*reasons, *_layout_faults(column))), None)


def _name_faults(column: Column) -> Iterator[str]:
    path = column.path
    if not path or (path == ("",) and not column.escaped):
        yield "Give it a field, or leave it out."
    if any("\0" in step for step in path if isinstance(step, str)):
        yield "A field’s name has no U+0000."
    if path[:1] == (WHOLE_DOCUMENT,) and not column.escaped:
        yield f"{WHOLE_DOCUMENT} is the name of whole documents."


def _neighbour_faults(column: Column, index: int, paths: dict[_Path, int]) -> Iterator[str]:
    path, name = column.path, path_text(column.path)
    if paths[path] != index:
        yield f"Another column becomes {name} too."
    for end in range(1, len(path)):
        above, step = path[:end], path[end]
        if above in paths:
            yield f"Another column becomes {path_text(above)}, which can’t hold {name} too."
        beside = {other[end] for other in paths if other[:end] == above and len(other) > end}
        if len({type(each) for each in beside}) > 1:
            yield f"{path_text(above)} would be a list and a document."
        if isinstance(step, int) and step and step - 1 not in beside:
            yield f"The list {path_text(above)} has an element {step} and none {step - 1}."


def _layout_faults(column: Column) -> Iterator[str]:
    if column.type != ColumnType.DATE:
        return
    try:
        pattern_of(column.layout)
        zone_of(column.zone)
    except ValueError as error:
        yield str(error)
