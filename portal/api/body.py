"""Request bodies: one JSON object, parsed strictly."""

import json
from typing import Any, NoReturn

import marshmallow as ma
from flask import Request
from webargs.flaskparser import FlaskParser

from portal.web.errors import InvalidInput, MalformedJson


class BodyParser(FlaskParser):
    """Parses one JSON object, and raises the portal's errors."""

    DEFAULT_UNKNOWN_BY_LOCATION = {"json": None, "query": None}  # as in the schema: refused

    def load_json(self, req: Request, schema: ma.Schema) -> Any:
        body = req.get_data()
        # Where every field is optional, an empty body is an empty object.
        if not body and not any(field.required for field in schema.fields.values()):
            return {}
        return read_object(body)

    def handle_error(
        self, error: ma.ValidationError, req: Request, schema: ma.Schema, **options: Any
    ) -> NoReturn:
        raise InvalidInput(
            {
                name: _joined(messages)
                for fields in error.normalized_messages().values()
                for name, messages in fields.items()
            }
        )


def _joined(messages: Any) -> str:
    """A field's error messages in one text; a list's by index."""
    if isinstance(messages, dict):
        return " ".join(f"{index}: {_joined(nested)}" for index, nested in messages.items())
    return " ".join(messages)


def read_object(body: bytes) -> dict[str, Any]:
    """Parse ``body`` as a JSON object. Raises MalformedJson.

    Duplicate names are refused, since parsers differ in which one wins; so are lone surrogates,
    which UTF-8 can't encode, and NaN and infinities, which JSON hasn't.
    """
    try:
        parsed = json.loads(body.decode(), object_pairs_hook=_object, parse_constant=_refuse_number)
        json.dumps(parsed, ensure_ascii=False).encode()
    except UnicodeError as error:
        raise MalformedJson("it is not valid UTF-8") from error
    except RecursionError as error:
        raise MalformedJson("it is nested too deep") from error
    except ValueError as error:
        raise MalformedJson("it is not valid JSON") from error
    if not isinstance(parsed, dict):
        raise MalformedJson("it is something else")
    return parsed


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    parsed = dict(pairs)
    if len(parsed) < len(pairs):
        raise MalformedJson("a key is there twice")
    return parsed


def _refuse_number(constant: str) -> NoReturn:
    raise ValueError(constant)
