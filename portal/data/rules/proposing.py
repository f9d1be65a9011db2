"""Rules that most documents keep, proposed from a survey of them."""

import re
from dataclasses import dataclass
from typing import Any

from portal.data.access import DocumentAccess
from portal.data.bson_types import ALIASES, LIST, NULL, NUMBERS, OBJECT, TEXT, family_of
from portal.data.shape.fields import Node, Path, Step
from portal.data.shape.sampling import is_hidden, survey_of
from portal.data.shape.words import STRAY, is_enumeration

_FEW = 20
"""The number of values below which nothing but their type is proposed."""
_RARE = 0.01
"""Fields that a smaller share has are left out."""
_RARE_WORD = 0.005
_PREFIXED = re.compile(r"([^0-9\s]{1,12}?)[0-9]+")
_PLAIN = re.compile(r"[^.$\0][^.\0]*")


@dataclass(frozen=True, slots=True)
class Proposal:
    """A schema, and how many of the fields that there are it names."""

    schema: dict[str, Any]
    named: int
    fields: int


def propose_rules(access: DocumentAccess) -> Proposal:
    """The rules that a random sample of the documents keeps, but for strays. Fields that are masked
    for the caller, of mixed types, or with names that a schema can't have, are left out."""
    survey, _, _ = survey_of(access)
    schema = _of_object(access, (), survey.root, survey.documents)
    top = [name for name in survey.root.children if name != "_id"]
    return Proposal({"bsonType": "object", **schema}, len(schema.get("properties", {})), len(top))


def _of_object(access: DocumentAccess, path: Path, node: Node, objects: int) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    required = []
    for name, child in node.children.items():
        if isinstance(name, Step) or not _PLAIN.fullmatch(name) or (*path, name) == ("_id",):
            continue
        if is_hidden(access, (*path, name)) or child.tally.values < objects * _RARE:
            continue
        found = _of_field(access, (*path, name), child)
        if found is None:
            continue
        properties[name] = found
        allowed = objects * STRAY if objects >= 1 / STRAY else 0
        if objects - child.tally.values <= allowed and NULL not in child.kinds:
            required.append(name)
    schema: dict[str, Any] = {"required": required} if required else {}
    return {**schema, **({"properties": properties} if properties else {})}


def _of_field(access: DocumentAccess, path: Path, node: Node) -> dict[str, Any] | None:
    whole = node.tally.values
    by_share = sorted(node.kinds.items(), key=lambda each: (each[0] == NULL, -each[1].values))
    kept = [kind for kind, tally in by_share if tally.values > whole * STRAY]
    families = {family_of(kind) for kind in kept} - {NULL}
    if len(families) != 1:
        return None
    kinds = _aliases(kept)
    schema: dict[str, Any] = {"bsonType": kinds[0] if len(kinds) == 1 else kinds}
    [family] = families
    if family == TEXT:
        schema |= _of_texts(node)
    elif family in NUMBERS:
        negative = sum(1 for number, _ in node.numbers if number < 0)
        if len(node.numbers) >= _FEW and negative <= len(node.numbers) * STRAY:
            schema["minimum"] = 0
    elif family == OBJECT:
        schema |= _of_object(access, path, node, node.kinds[OBJECT].values)
    elif family == LIST and Step.ITEM in node.children:
        item = _of_field(access, (*path, Step.ITEM), node.children[Step.ITEM])
        schema |= {"items": item} if item else {}
    return schema


def _aliases(kinds: list[int]) -> list[str]:
    """The types by their aliases; several of numbers, which drivers choose by the value, as one."""
    numbers = [kind for kind in kinds if kind in NUMBERS]
    others = [ALIASES[kind] for kind in kinds if kind not in NUMBERS]
    return (["number"] if len(numbers) > 1 else [ALIASES[kind] for kind in numbers]) + others


def _of_texts(node: Node) -> dict[str, Any]:
    texts = node.kinds[TEXT].values
    if texts < _FEW:
        return {}
    if len(node.texts) > 1 and is_enumeration(node) and texts >= _FEW * len(node.texts):
        usual = [text for text, tally in node.texts.items() if tally.values > texts * _RARE_WORD]
        return {"enum": usual + ([None] if NULL in node.kinds else [])}
    prefixes = {found[1] for found in map(_PREFIXED.fullmatch, node.texts) if found}
    if len(prefixes) == 1 and all(map(_PREFIXED.fullmatch, node.texts)):
        return {"pattern": f"^{re.escape(prefixes.pop())}[0-9]+$"}
    empty = node.empty.get(TEXT)
    return {} if empty and empty.values > texts * STRAY else {"minLength": 1}
