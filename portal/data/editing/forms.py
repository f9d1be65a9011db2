"""Forms of documents, and what was typed into their rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import bson
from bson import ObjectId
from flask import request
from werkzeug.datastructures import FileStorage, MultiDict
from wtforms import HiddenField, StringField

from portal import clock
from portal.data import extended_json
from portal.data.editing import opened
from portal.data.editing.drafts import OpenDocument
from portal.data.editing.entries import Entry, Tree, path_of
from portal.data.editing.typed_values import Kind, NotOfKind, Typed, read, with_content
from portal.data.errors import InvalidExtendedJson
from portal.data.patching import Path
from portal.errors import PortalError
from portal.web.forms import Form

LONGEST_REASON = 200
SAVE = "save"


class EditForm(Form):
    """An edit of a document in the version of ``etag``; ``base`` is how it was opened."""

    etag = HiddenField()
    base = HiddenField()
    opened_at = HiddenField()
    reason = StringField("Why", default="")

    trouble: PortalError | None = None

    def __init__(self) -> None:
        """Read the current request."""
        super().__init__()
        self.row_faults: dict[str, str] = {}

    @property
    def errors(self) -> dict[str, Any]:
        """The errors of its fields and rows."""
        rows = {name: [words] for name, words in self.row_faults.items()}
        return {**super().errors, **rows}

    def open(self, document: OpenDocument) -> None:
        """Carry the version of the document, and how it was opened."""
        self.etag.data = document.etag
        self.base.data = opened.pack(document.shown)
        self.opened_at.data = self.opened_at.data or clock.now().isoformat(timespec="seconds")

    @property
    def opened(self) -> datetime | None:
        """The time when it was opened, unless somebody changed that."""
        try:
            found = datetime.fromisoformat(self.opened_at.data or "")
        except ValueError:
            return None
        return found if found.tzinfo else None

    def validate(self, extra_validators: dict | None = None) -> bool:
        """Validate its own fields."""
        valid = super().validate(extra_validators)
        if len(self.reason.data or "") > LONGEST_REASON:
            self.reason.errors = [f"Shorten the reason to {LONGEST_REASON} characters"]
            valid = False
        return valid

    def refuse(self, error: PortalError, field: str | None = None) -> None:
        """Show why the document can't be stored, with all that was typed."""
        self.status = error.status
        if field and isinstance(error, InvalidExtendedJson):
            place, reason = next(iter(error.fields.items()))
            self.row_faults[field] = f"Correct the JSON at {place}: {reason}"
        else:
            self.trouble = error


@dataclass(frozen=True, slots=True)
class Asked:
    """The request of a form: an action, about the field at a path or none."""

    action: str
    path: Path | None = None


def asked() -> Asked:
    """The request of the button that sent the form."""
    action, _, key = request.form.get("do", SAVE).partition(".")
    return Asked(action, path_of(key) if key else None)


def shown_lists() -> frozenset[Path]:
    """The lists that the form shows whole."""
    paths = [path_of(key) for key in request.values.getlist("list")]
    if asked().action == "show":
        paths.append(asked().path)
    return frozenset(path for path in paths if path)


@dataclass(frozen=True, slots=True)
class NewId:
    """The ``_id`` of a document to be, as it is typed and as the BSON of ``{"": _id}``."""

    typed: Typed
    value: bytes
    fault: str = ""


def read_id() -> NewId:
    """The ``_id`` that was typed; a new ObjectId before. Of one that can't be read there is an
    ObjectId in its place."""
    generated = ObjectId()
    kind, text = request.form.get("id-kind", ""), request.form.get("id-text", "")
    typed = _typed(kind, text, "") or Typed(Kind.OBJECT_ID, str(generated))
    try:
        return NewId(typed, read(typed))
    except NotOfKind as error:
        return NewId(typed, bson.encode({"": generated}), f"Write _id {error}")


def read_entries(document: bytes) -> list[Entry]:
    """The entries in the rows of the form of ``document``, as typed."""
    typed, tree = request.form, Tree(document)
    entries = []
    for name in typed:
        group, _, key = name.partition(".")
        if group == "k" and (path := path_of(key)):
            entry = _of_row(typed, request.files, tree, key, path)
        elif group == "x" and (path := path_of(key)):
            entry = Entry(path, None)
        elif group == "nk":
            entry = _of_new(typed, key)
        else:
            continue
        if entry is not None:
            entries.append(entry)
    return entries


def _of_row(
    typed: MultiDict, files: Mapping[str, FileStorage], tree: Tree, key: str, path: Path
) -> Entry | None:
    opened = typed.get(f"o.{key}")
    file = files.get(f"f.{key}")
    if file is not None and file.filename:
        element = tree.element(path)
        value = with_content(element.value if element else None, file.read())
        return Entry(path, Typed(Kind.JSON, extended_json.render_value(value)))
    if f"v.{key}" not in typed and typed[f"k.{key}"] == Kind.BINARY:
        return None  # a file that was not chosen
    found = _typed(typed[f"k.{key}"], typed.get(f"v.{key}", ""), typed.get(f"z.{key}", ""))
    return Entry(path, found, opened=opened) if found else None


def _of_new(typed: MultiDict, key: str) -> Entry | None:
    parent = path_of(typed.get(f"np.{key}", ""))
    found = _typed(typed[f"nk.{key}"], typed.get(f"nv.{key}", ""), typed.get(f"nz.{key}", ""))
    name = typed.get(f"nn.{key}", "")
    is_empty = not name and found is not None and found.kind == Kind.TEXT and not found.text
    if parent is None or found is None or (is_empty and f"nl.{key}" not in typed):
        return None
    return Entry(parent if f"nl.{key}" in typed else (*parent, name), found, added=True)


def _typed(kind: str, text: str, zone: str) -> Typed | None:
    return Typed(Kind(kind), text, zone) if kind in set(Kind) else None
