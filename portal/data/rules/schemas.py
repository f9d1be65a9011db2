"""JSON Schemas of documents: read from text, written line by line, and taken apart into clauses.

A clause is the smallest part that a document can break by itself. As a schema of its own it finds
the documents that do, so the server alone judges.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import bson

from portal.data import extended_json, queries
from portal.data.errors import NoSchemaKeyword, SchemaTooDeep, SchemaTooLong

MOST_BYTES = 64 * 1024
MOST_DEPTH = 20
_DESCRIBING = frozenset({"title", "description"})
# Mean something only together.
_PAIRS = {"exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum"}
# What is additional, only these beside it tell, whatever they say of it.
_BESIDE = {
    "additionalProperties": ("properties", "patternProperties"),
    "additionalItems": ("items",),
}
ITEMS = ""
"""The step of a clause's path into the elements of a list."""

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Clause:
    """A part of a schema: ``keyword`` with its ``value`` at a path of fields, where ITEMS stands
    for the elements of a list; ``schema`` has this part alone."""

    path: tuple[str, ...]
    keyword: str
    value: Any
    schema: dict[str, Any]

    @property
    def name(self) -> str:
        """The path as people write it."""
        return ".".join(step for step in self.path if step != ITEMS)

    @property
    def breaking(self) -> dict[str, Any]:
        """The filter of the documents that break it."""
        return breaking(self.schema)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a schema as text, and the place in it that the line is about."""

    number: int
    text: str
    path: tuple[str, ...]
    keyword: str | None = None


def parse_schema(text: str) -> dict[str, Any]:
    """The schema that ``text`` is. Raises InvalidExtendedJson, InvalidRules."""
    if len(text.encode(errors="replace")) > MOST_BYTES:
        raise SchemaTooLong(MOST_BYTES)
    schema = queries.parse_query(text)
    if set(schema) == {"$jsonSchema"} and isinstance(schema["$jsonSchema"], dict):
        schema = schema["$jsonSchema"]
    wrong = next((name for name in schema if name.startswith("$")), None)
    if wrong is not None:
        raise NoSchemaKeyword(wrong)
    for clause in clauses_of(schema):
        if len(clause.path) > MOST_DEPTH:
            raise SchemaTooDeep(MOST_DEPTH)
    return schema


def breaking(schema: Schema) -> dict[str, Any]:
    """The filter of the documents that break a schema."""
    return {"$nor": [{"$jsonSchema": schema}]}


def text_of(value: Any) -> str:
    """A part of a schema, or a filter, on one line."""
    rendered = extended_json.render(
        bson.encode({"": value}, codec_options=queries.CODEC), relaxed=True
    )
    return json.dumps(json.loads(rendered)[""], ensure_ascii=False)


def clauses_of(schema: Schema, path: tuple[str, ...] = ()) -> Iterator[Clause]:
    """The clauses of a schema, in their order."""
    for keyword, value in schema.items():
        if keyword in _DESCRIBING or keyword in _PAIRS:
            continue
        if keyword == "properties" and isinstance(value, dict):
            for name, inner in value.items():
                if isinstance(inner, dict):
                    yield from clauses_of(inner, (*path, name))
        elif keyword == "items" and isinstance(value, dict):
            yield from clauses_of(value, (*path, ITEMS))
        elif keyword == "required" and isinstance(value, list):
            for name in value:
                alone = _around(path, {"required": [name]})
                yield Clause((*path, str(name)), "required", name, alone)
        else:
            yield Clause(path, keyword, value, _around(path, _alone(schema, keyword)))


def lines_of(schema: Schema) -> list[Line]:
    """The schema as text, a field a line, so that a fault has a line."""
    lines: list[Line] = []
    _write(schema, (), 0, "", "", lines)
    return lines


def line_of(lines: list[Line], clause: Clause) -> int:
    """The number of the line that a clause stands in."""
    within = clause.path[:-1] if clause.keyword == "required" else clause.path
    of_path = [line for line in lines if line.path == within]
    exact = next((line for line in of_path if line.keyword == clause.keyword), None)
    return (exact or of_path[0]).number if of_path else 1


def _alone(schema: Schema, keyword: str) -> dict[str, Any]:
    """The schema with one keyword, and with what that means nothing without."""
    pairs = [other for other, main in _PAIRS.items() if main == keyword]
    return (
        {keyword: schema[keyword]}
        | {other: schema[other] for other in pairs if other in schema}
        | {
            other: _without_demands(schema[other])
            for other in _BESIDE.get(keyword, ())
            if other in schema
        }
    )


def _without_demands(value: Any) -> Any:
    """The names or places that a keyword's value tells, each of which anything may take."""
    if isinstance(value, list):
        return [{} for _ in value]
    return {name: {} for name in value} if isinstance(value, dict) else value


def _around(path: tuple[str, ...], part: dict[str, Any]) -> dict[str, Any]:
    for step in reversed(path):
        part = {"items": part} if step == ITEMS else {"properties": {step: part}}
    return part


def _write(
    schema: Schema, path: tuple[str, ...], depth: int, before: str, after: str, lines: list[Line]
) -> None:
    def add(text: str, at: tuple[str, ...], keyword: str | None = None) -> None:
        lines.append(Line(len(lines) + 1, text, at, keyword))

    indent = "  " * depth
    nested = any(
        keyword in ("properties", "items") and isinstance(value, dict)
        for keyword, value in schema.items()
    )
    if not nested and depth:
        add(f"{indent}{before}{text_of(schema)}{after}", path)
        return
    add(f"{indent}{before}{{", path)
    for position, (keyword, value) in enumerate(schema.items()):
        comma = "," if position < len(schema) - 1 else ""
        key = f"{json.dumps(keyword, ensure_ascii=False)}: "
        if keyword == "properties" and isinstance(value, dict):
            add(f"{indent}  {key}{{", path, keyword)
            for place, (name, inner) in enumerate(value.items()):
                end = "," if place < len(value) - 1 else ""
                named = f"{json.dumps(name, ensure_ascii=False)}: "
                if isinstance(inner, dict):
                    _write(inner, (*path, name), depth + 2, named, end, lines)
                else:
                    add(f"{indent}    {named}{text_of(inner)}{end}", (*path, name))
            add(f"{indent}  }}{comma}", path)
        elif keyword == "items" and isinstance(value, dict):
            _write(value, (*path, ITEMS), depth + 1, key, comma, lines)
        else:
            add(f"{indent}  {key}{text_of(value)}{comma}", path, keyword)
    add(f"{indent}}}{after}", path)
