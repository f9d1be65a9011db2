"""Documents and filters as people copy them from a shell of MongoDB: ``{_id: ObjectId('…')}``.

They are written anew as Extended JSON. No code runs: only the names of types are known.
"""

import base64
import json
import re
import struct
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn, TypeVar
from uuid import UUID

from bson import Binary
from bson.binary import UuidRepresentation

from portal.data.errors import InvalidExtendedJson
from portal.data.texts import moment_of, utc_text

Result = TypeVar("Result")

LONGEST_TEXT = 1024 * 1024
_NAME = r"[A-Za-z_$][\w$]*"
_STRING = r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`"""
_TYPES = (
    "ObjectId|ISODate|Date|NumberInt|Int32|NumberLong|Long|NumberDecimal|Decimal128|Double|MD5"
    "|UUID|(?:[JLN]|CS|PY)UUID|Legacy(?:Java|CSharp|Python)UUID"
    r"|BinData|HexData|Binary(?:\.\w+)?|Timestamp|MinKey|MaxKey|RegExp|BSONRegExp|BSONSymbol|Code"
    "|DBRef"
)
# What may stand between the parentheses of a type: other types are one level deep.
_INSIDE = rf"[^()\"'`]|{_STRING}"
_TOKEN = re.compile(
    rf"""
    (?P<space>\s+|//[^\n]*|/\*(?:[^*]|\*(?!/))*\*/)
    |(?P<string>(?:{_STRING})(?:\s*\+\s*(?:{_STRING}))*)
    |(?P<call>(?:new\s+)?(?P<type>{_TYPES})\s*\((?P<given>(?:{_INSIDE}|\((?:{_INSIDE})*\))*)\))
    |(?P<key>{_NAME}|[0-9]+)(?=\s*:)
    |(?P<word>true|false|null|MinKey|MaxKey)\b
    |(?P<constant>NaN|-?Infinity)\b
    |(?P<number>-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)
    |(?P<regex>/(?![*/])(?:[^/\\\n]|\\.)+/[a-z]*)
    |(?P<end>,(?=\s*[\]}}]))
    |(?P<mark>[{{}}\[\],:])
    """,
    re.VERBOSE | re.DOTALL,
)
_PIECE = re.compile(_STRING, re.DOTALL)
_GIVEN = re.compile(rf"\s*({_STRING}|-?[0-9]+(?:\.[0-9]+)?)\s*(?:,|$)|\s*$")
_BUFFER = re.compile(
    rf"""\s*Buffer\.from\(\s*({_STRING})\s*,\s*["'](hex|base64)["']\s*\)\s*(?:,|$)"""
)
_NUMBERS = re.compile(r"\s*(?:new\s+)?\w+Array\s*\(\s*(\[[^()]*\])\s*\)\s*")
# What ISODate reads, and prints of a year that hasn't four digits.
_DATE = re.compile(
    r"(?P<year>[0-9]{4}|[+-][0-9]{6})-?(?P<month>[0-9]{2})-?(?P<day>[0-9]{2})"
    r"(?:[T ](?P<hour>[0-9]{2})"
    r"(?::?(?P<minute>[0-9]{2})(?::?(?P<second>[0-9]{2}(?:\.[0-9]{1,3})?))?)?"
    r"(?P<zone>Z|[+-][0-9]{2}(?::?[0-9]{2})?)?)?"
)
_YEAR_2000 = datetime(2000, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_ERA_MS = 146_097 * 86_400_000
_YEAR_0_MS = -62_167_219_200_000
_YEAR_OR_MONTH = re.compile(r"[0-9]{4}(?:-[0-9]{2})?")


def read(parse: Callable[[str], Result], text: str) -> Result:
    """The result of ``parse`` for Extended JSON, or for the shell's syntax written as it. Raises
    InvalidExtendedJson of the type of the shell, or of the field, that says no value; else as
    ``parse`` does of the text as it was given."""
    try:
        return parse(text)
    except InvalidExtendedJson as error:
        try:
            written = _written_anew(text)
        except _NoValue as refused:
            raise InvalidExtendedJson.at(refused.place, refused.reason) from None
        if written is None:
            raise
        try:
            return parse(written)
        except InvalidExtendedJson as again:
            # A line and column would be those of another text than the one that was given.
            named = all(place.startswith("/") for place in again.fields)
            raise (again if named else error) from None


def normalized(text: str) -> str:
    """The text as JSON, if it is in the shell's syntax; else as it is."""
    try:
        json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return as_extended_json(text) or text
    return text


def as_extended_json(text: str) -> str | None:
    """The text in the shell's syntax as Extended JSON; ``None`` for another one."""
    try:
        return _written_anew(text)
    except _NoValue:
        return None


class _NoValue(Exception):
    """A type of the shell with something in it that is no value of it."""

    def __init__(self, text: str, found: re.Match[str]) -> None:
        line, start = text.count("\n", 0, found.start()) + 1, text.rfind("\n", 0, found.start())
        self.place = f"line {line}, column {found.start() - start}"
        self.reason = f"this {found['type']}(…) is no value that is read"
        super().__init__(self.reason)


def _written_anew(text: str) -> str | None:
    """Like ``as_extended_json``. Raises _NoValue."""
    if len(text) > LONGEST_TEXT:
        return None
    written, position = [], 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            return None
        try:
            written.append(_written(found))
        except (
            ValueError, IndexError, KeyError, TypeError, struct.error, OverflowError, RecursionError
        ) as error:  # fmt: skip
            if found.lastgroup != "call":
                return None
            raise _NoValue(text, found) from error
        position = found.end()
    return "".join(written)


def _no_constant(text: str) -> NoReturn:
    raise ValueError(text)


def _written(found: re.Match[str]) -> str:
    text = found[0]
    if text == "-0":  # of a double alone
        return _json("$numberDouble", "-0.0")
    if found.lastgroup in ("mark", "number"):
        return text
    if found.lastgroup == "word":
        return _TYPED[text]([]) if text in _TYPED else text
    return _WRITTEN[found.lastgroup or ""](found)


def _arguments(given: str) -> list[str]:
    found, position = [], 0
    while position < len(given):
        each = _GIVEN.match(given, position)
        if each is None:
            raise ValueError(given)
        if each[1]:
            found.append(each[1] if each[1][0] not in "\"'`" else _unquoted(each[1]))
        position = each.end()
    return found


def _unquoted(quoted: str) -> str:
    """The characters of a string in quotes of any kind; no code is in them."""
    if quoted[0] == "`" and "${" in quoted:
        raise ValueError(quoted)

    def escaped(each: re.Match[str]) -> str:
        if each[0].startswith("\\x"):
            return f"\\u00{each[0][2:]}"
        return {"\\'": "'", "\\`": "`", '"': '\\"'}.get(each[0], each[0])

    inner = re.sub(r"""\\x[0-9a-fA-F]{2}|\\.|["]""", escaped, quoted[1:-1], flags=re.DOTALL)
    text: str = json.loads(f'"{inner}"')
    return text


def _json(name: str, value: Any) -> str:
    return json.dumps({name: value})


def _joined(found: re.Match[str]) -> str:
    """A string, which the shell prints in pieces where it has several lines."""
    return json.dumps("".join(_unquoted(each[0]) for each in _PIECE.finditer(found[0])))


def _values(given: str) -> list[Any]:
    """The arguments of a type that takes other types."""
    return list(json.loads(as_extended_json(f"[{given}]") or "", object_pairs_hook=_once,
                           parse_float=lambda text: {"$numberDouble": text}))  # fmt: skip


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key twice")
    return made


def _as(name: str) -> Callable[[list[str]], str]:
    def written(given: list[str]) -> str:
        [value] = given
        return _json(name, value)

    return written


def _iso_date(given: str) -> str:
    """A date of the shell: without a zone it is in UTC. Digits in quotes are those of a day, and
    without them milliseconds."""
    match _values(given):
        case [int(milliseconds)]:
            return _moment(milliseconds)
        case [str(text)] if found := _DATE.fullmatch(text):
            return _moment(_milliseconds(found))
    raise ValueError(given)


def _script_date(given: str) -> str:
    """A date of JavaScript, whose time without a zone is that of nobody knows where."""
    match _values(given):
        case [str(text)] if _YEAR_OR_MONTH.fullmatch(text):
            return _iso_date(json.dumps(f"{text}-01-01"[:10]))
        case [str(text)] if found := _DATE.fullmatch(text):
            if text[:8].isdigit() or (found["hour"] and not found["zone"]):
                raise ValueError(text)
    return _iso_date(given)


def _milliseconds(found: re.Match[str]) -> int:
    eras, year = divmod(int(found["year"]), 400)  # each of as many days, from a leap year on
    time = f"{found['hour'] or '00'}:{found['minute'] or '00'}:{found['second'] or '00'}"
    day = f"{year + 2000}-{found['month']}-{found['day']}"
    moment = datetime.fromisoformat(f"{day}T{time}{found['zone'] or 'Z'}")
    return (moment - _YEAR_2000) // _MILLISECOND + eras * _ERA_MS + _YEAR_0_MS


def _moment(milliseconds: int) -> str:
    moment = moment_of(milliseconds)
    return _json("$date", utc_text(moment) if moment else {"$numberLong": str(milliseconds)})


def _uuid(given: list[str]) -> str:
    [text] = given
    return _json("$uuid", str(UUID(text)))


def _legacy_uuid(order: int) -> Callable[[list[str]], str]:
    """A UUID as drivers stored it before there was one way."""

    def written(given: list[str]) -> str:
        [text] = given
        content = Binary.from_uuid(UUID(text), order)
        return _binary([str(content.subtype), base64.b64encode(content).decode()])

    return written


def _binary(given: list[str]) -> str:
    subtype, content = given
    return _json("$binary", {"base64": content, "subType": f"{int(subtype):02x}"})


def _hex_binary(given: list[str]) -> str:
    subtype, content = given
    return _binary([subtype, base64.b64encode(bytes.fromhex(content)).decode()])


def _created(write: Callable[[list[str]], str]) -> Callable[[list[str]], str]:
    """Binary data whose subtype comes last, or isn't told."""

    def written(given: list[str]) -> str:
        content, *subtype = given
        return write([*(subtype or ["0"]), content])

    return written


def _from_buffer(given: str) -> str:
    """Binary data as the shell printed it before 2.0."""
    found = _BUFFER.match(given)
    if found is None:
        raise ValueError(given)
    write = _hex_binary if found[2] == "hex" else _binary
    return _created(write)([_unquoted(found[1]), *_arguments(given[found.end() :])])


def _vector(kind: int, form: str) -> Callable[[str], str]:
    """A vector, whose first bytes are its kind, and how many of its last bits are none."""

    def written(given: str) -> str:
        found = _NUMBERS.fullmatch(given)
        if found is None:
            raise ValueError(given)
        numbers = json.loads(found[1])
        content = struct.pack(f"<BB{len(numbers)}{form}", kind, 0, *numbers)
        return _binary(["9", base64.b64encode(content).decode()])

    return written


def _timestamp(given: str) -> str:
    match _values(given):
        case [{"t": int(seconds), "i": int(count), **others}] if not others:
            return _json("$timestamp", {"t": seconds, "i": count})
        case [int(seconds), int(count)]:
            return _json("$timestamp", {"t": seconds, "i": count})
    raise ValueError(given)


def _reference(given: str) -> str:
    collection, document, *database = _values(given)
    named = dict(zip(("$db",)[: len(database)], database, strict=True))
    return json.dumps({"$ref": collection, "$id": document, **named})


def _code(given: str) -> str:
    code, *scope = _values(given)
    return json.dumps({"$code": code, **dict(zip(("$scope",)[: len(scope)], scope, strict=True))})


def _literal_pattern(text: str) -> str:
    pattern, _, options = text[1:].rpartition("/")
    return _pattern([pattern, options])


def _pattern(given: list[str]) -> str:
    pattern, *options = given
    return _json("$regularExpression", {"pattern": pattern, "options": "".join(options)})


_LEGACY_UUIDS = {
    "JUUID": UuidRepresentation.JAVA_LEGACY,
    "LegacyJavaUUID": UuidRepresentation.JAVA_LEGACY,
    "CSUUID": UuidRepresentation.CSHARP_LEGACY,
    "NUUID": UuidRepresentation.CSHARP_LEGACY,
    "LegacyCSharpUUID": UuidRepresentation.CSHARP_LEGACY,
    "PYUUID": UuidRepresentation.PYTHON_LEGACY,
    "LUUID": UuidRepresentation.PYTHON_LEGACY,
    "LegacyPythonUUID": UuidRepresentation.PYTHON_LEGACY,
}
_TYPED: Mapping[str, Callable[[list[str]], str]] = {
    "ObjectId": _as("$oid"),
    "NumberInt": _as("$numberInt"),
    "Int32": _as("$numberInt"),
    "NumberLong": _as("$numberLong"),
    "Long": _as("$numberLong"),
    "NumberDecimal": _as("$numberDecimal"),
    "Decimal128": _as("$numberDecimal"),
    "Double": _as("$numberDouble"),
    "UUID": _uuid,
    **{name: _legacy_uuid(order) for name, order in _LEGACY_UUIDS.items()},
    "MD5": lambda given: _hex_binary(["5", *given]),
    "BinData": _binary,
    "HexData": _hex_binary,
    "Binary.createFromBase64": _created(_binary),
    "Binary.createFromHexString": _created(_hex_binary),
    "MinKey": lambda given: _json("$minKey", 1),
    "MaxKey": lambda given: _json("$maxKey", 1),
    "RegExp": _pattern,
    "BSONRegExp": _pattern,
    "BSONSymbol": _as("$symbol"),
}
# Types that take other types, or tell digits in quotes from a number.
_COMPOSED: Mapping[str, Callable[[str], str]] = {
    "ISODate": _iso_date,
    "Date": _script_date,
    "Binary": _from_buffer,
    "Binary.fromInt8Array": _vector(0x03, "b"),
    "Binary.fromFloat32Array": _vector(0x27, "f"),
    "Binary.fromPackedBits": _vector(0x10, "B"),
    "Timestamp": _timestamp,
    "DBRef": _reference,
    "Code": _code,
}

_WRITTEN: Mapping[str, Callable[[re.Match[str]], str]] = {
    "space": lambda found: " ",
    "end": lambda found: " ",
    "string": _joined,
    "key": lambda found: json.dumps(found[0]),
    "constant": lambda found: _json("$numberDouble", found[0]),
    "regex": lambda found: _literal_pattern(found[0]),
    "call": lambda found: (
        _COMPOSED[found["type"]](found["given"])
        if found["type"] in _COMPOSED
        else _TYPED[found["type"]](_arguments(found["given"]))
    ),
}
