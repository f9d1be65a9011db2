"""The Extended JSON that mongoexport wrote before 4.2, translated into today's."""

from collections.abc import Callable
from typing import Any

from portal.data import extended_json
from portal.data.json_types import Constant, Number, Pairs


def parse_old(text: bytes | str, where: str = "") -> bytes:
    """The BSON of a document in the old dialect. Raises InvalidExtendedJson."""
    return extended_json.parse_translated(text, _translate, where)


def _translate(pairs: Pairs) -> Any:
    shape = tuple(key for key, _ in pairs)
    values = [_constant(value) for _, value in pairs]
    translated = _OLD.get(shape) or _OLD.get(shape[::-1])
    if translated is not None:
        ordered = values if shape in _OLD else values[::-1]
        made = translated(*ordered)
        if made is not None:
            return made
    return Pairs(zip(shape, values, strict=True))


def _constant(value: Any) -> Any:
    if isinstance(value, list) and not isinstance(value, Pairs):
        return [_constant(each) for each in value]
    return Pairs([("$numberDouble", str(value))]) if isinstance(value, Constant) else value


def _date(value: Any) -> Any:
    if not isinstance(value, Number):
        return None
    return Pairs([("$date", Pairs([("$numberLong", str(value))]))])


def _long(value: Any) -> Any:
    return Pairs([("$numberLong", str(value))]) if isinstance(value, Number) else None


def _binary(content: Any, subtype: Any) -> Any:
    if not isinstance(content, str) or not isinstance(subtype, str):
        return None
    return Pairs([("$binary", Pairs([("base64", content), ("subType", subtype)]))])


def _regex(pattern: Any, options: Any) -> Any:
    if not isinstance(pattern, str) or not isinstance(options, str):
        return None
    sorted_options = "".join(sorted(options))
    inner = Pairs([("pattern", pattern), ("options", sorted_options)])
    return Pairs([("$regularExpression", inner)])


_OLD: dict[tuple[str, ...], Callable[..., Any]] = {
    ("$date",): _date,
    ("$numberLong",): _long,
    ("$binary", "$type"): _binary,
    ("$regex", "$options"): _regex,
}
