"""The body of a request: one JSON object, read strictly."""

import json
from typing import Any, NoReturn

import marshmallow as ma
from flask import Request
from webargs.flaskparser import FlaskParser

from portal.web.errors import InvalidInput, MalformedJson


class BodyParser(FlaskParser):
    """Reads one JSON object, and tells what is wrong with it as every other error is told."""

    DEFAULT_UNKNOWN_BY_LOCATION = {"json": None, "query": None}  # as the schema says: refused

    def load_json(self, req: Request, schema: ma.Schema) -> Any:
        body = req.get_data()
        # An empty body is one with nothing in it where every field may be left out.
        if not body and not any(field.required for field in schema.fields.values()):
            return {}
        return read_object(body)

    def handle_error(
        self, error: ma.ValidationError, req: Request, schema: ma.Schema, **options: Any
    ) -> NoReturn:
        raise InvalidInput(
            {
                name: _words(told)
                for messages in error.normalized_messages().values()
                for name, told in messages.items()
            }
        )


def _words(told: Any) -> str:
    """What is wrong with a field; of a list it is told by the item."""
    if isinstance(told, dict):
        return " ".join(f"{item}: {_words(words)}" for item, words in told.items())
    return " ".join(told)


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object that ``body`` is. Raises MalformedJson.

    A key that is there twice is refused, since readers differ in which of the two they take; so
    are lone surrogates, which no UTF-8 can carry, and what only some readers take for numbers.
    """
    try:
        read = json.loads(body.decode(), object_pairs_hook=_object, parse_constant=_no_number)
        json.dumps(read, ensure_ascii=False).encode()
    except UnicodeError as error:
        raise MalformedJson("it is not valid UTF-8") from error
    except RecursionError as error:
        raise MalformedJson("it is nested too deep") from error
    except ValueError as error:
        raise MalformedJson("it is not valid JSON") from error
    if not isinstance(read, dict):
        raise MalformedJson("it is something else")
    return read


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise MalformedJson("a key is there twice")
    return found


def _no_number(constant: str) -> NoReturn:
    raise ValueError(constant)
