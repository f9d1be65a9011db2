"""Pages for whoever writes an application: a small one, and what the library leaves out."""

from functools import cache
from itertools import groupby
from pathlib import Path

from flask import Blueprint, Response, render_template
from flask.typing import ResponseReturnValue

from portal.tenants.unsupported import (
    INSTEAD,
    INSTEAD_OF_OPERATOR,
    INSTEAD_OF_OPTION,
    INSTEAD_OF_RESULT,
    INSTEAD_OF_STREAM_OPTION,
)

blueprint = Blueprint("guides", __name__, url_prefix="/docs")

_EXAMPLE = Path(__file__).parents[2] / "docs" / "shop.py"
_KINDS = (
    ("Operators and stages", INSTEAD_OF_OPERATOR),
    ("Methods and attributes", INSTEAD),
    ("Methods and attributes of results", INSTEAD_OF_RESULT),
    ("Options", INSTEAD_OF_OPTION),
    ("Options of watch", INSTEAD_OF_STREAM_OPTION),
)


@cache
def example() -> str:
    """The text of the application."""
    return _EXAMPLE.read_text(encoding="utf-8")


@blueprint.get("/application")
def application() -> ResponseReturnValue:
    """The application, to be read."""
    return render_template("api/application.html", text=example())


@blueprint.get("/shop.py")
def download() -> ResponseReturnValue:
    """The application, as a file."""
    answer = Response(example(), mimetype="text/x-python")
    answer.headers.set("Content-Disposition", "attachment", filename=_EXAMPLE.name)
    return answer


@blueprint.get("/library")
def library() -> ResponseReturnValue:
    """PyMongo's parts that the library lacks, and what to use instead."""
    kinds = [(words, _by_reason(instead)) for words, instead in _KINDS]
    return render_template("api/library.html", kinds=kinds)


def _by_reason(instead: dict[str, str]) -> list[tuple[list[str], str]]:
    """The names that follow each other with one reason, and the reason."""
    groups = groupby(instead.items(), key=lambda item: item[1])
    return [([name for name, _ in group], reason) for reason, group in groups]
