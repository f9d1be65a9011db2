"""The history in words."""

import json

from portal.data import extended_json
from portal.data.edits import Refusal
from portal.data.nodes import node_of
from portal.data.texts import text_of, visible_lines

LONGEST_SHOWN = 200

REFUSALS = {
    Refusal.CHANGED_LATER: "Kept: it was changed later",
    Refusal.DELETED_LATER: "Refused: it was deleted later",
    Refusal.ERASED: "Refused: erased for good. Nothing of it is kept",
    Refusal.NOT_KEPT: "Refused: what was before is not kept any more",
    Refusal.DUPLICATE: "Refused: {detail} is unique, and another document has the same",
    Refusal.INVALID: "Refused: it would break a rule of its collection",
    Refusal.FIELD_EXISTS: "Left alone: it has a field of the new name already",
    Refusal.NOT_A_DOCUMENT: "Left alone: the path leads through a value that has no fields",
    Refusal.TOO_LARGE: "Left alone: it would be larger than 16 MB",
    Refusal.REFUSED: "Refused by MongoDB: {detail}",
}
"""The reasons for which a document was left as it is, in words."""

_STRING, _OBJECT_ID, _DATE = 0x02, 0x07, 0x09


def shown_value(value: bytes) -> str:
    """A value for people, from the BSON of ``{"": value}``: a text as it is, a date and an ObjectId
    as they are written, else Extended JSON."""
    if value[4] == _STRING:
        return _cut(visible_lines(text_of(node_of(value))))
    try:
        text = extended_json.render_value(value, relaxed=True)
    except ValueError:
        return "has text that is no UTF-8"
    if value[4] in (_OBJECT_ID, _DATE):
        [told] = json.loads(text).values()
        text = told if isinstance(told, str) else text
    return _cut(text)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
