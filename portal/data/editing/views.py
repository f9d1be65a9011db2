"""Pages of one document: read, edited, inserted, duplicated, deleted."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

from flask import Blueprint, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from portal import clock
from portal.data import extended_json, shell_syntax
from portal.data.access import DocumentAccess, document_access
from portal.data.document_ids import address_of
from portal.data.editing import drafts, merging, opened
from portal.data.editing.drafts import OpenDocument, open_document
from portal.data.editing.entries import (
    Entry,
    Outcome,
    entries_at,
    key_of,
    outcome_of,
    packed,
    unpacked,
    without_unchanged,
)
from portal.data.editing.errors import NotAsText, TooLargeForText
from portal.data.editing.forms import (
    SAVE,
    Asked,
    EditForm,
    NewId,
    asked,
    read_entries,
    read_id,
    shown_lists,
)
from portal.data.editing.keeping import keeps_text
from portal.data.editing.rows import Rows, View, rows_of
from portal.data.editing.typed_values import WORDS, Kind, Typed
from portal.data.errors import PreconditionFailed
from portal.data.history.entries import Entry as EarlierEdit
from portal.data.history.entries import list_edits
from portal.data.masks.masks import Mask
from portal.data.patching import differences, patch
from portal.data.recording import KEPT
from portal.errors import PortalError
from portal.organizations.access.guards import render_page, with_access
from portal.organizations.access.lookup import Access
from portal.web import bodies, stale_forms
from portal.web.bodies import AcceptedBody
from portal.web.requests import request_context
from portal.web.template_filters import page_zone, plain_day

blueprint = Blueprint("editing", __name__, url_prefix="/organizations/<slug>/data/documents")

# A document of 16 MB as a file, with the rest of its form.
_TAKES_FORM = bodies.takes_body(
    AcceptedBody((bodies.FORM, bodies.MULTIPART), most_bytes=24 * 1024 * 1024)
)
_EARLIER = 5
_LONGEST_LIST, _MOST_ARGUMENTS = 2000, 200
_NOTHING_NEW = "Nothing was changed, so nothing was saved."


@blueprint.url_defaults
def _keep_list(endpoint: str, values: dict[str, Any]) -> None:
    """Have the pages of a document lead to each other with the list that one came from."""
    within = request.args.get("within") if request.blueprint == blueprint.name else None
    if within and endpoint.startswith(f"{blueprint.name}."):
        values.setdefault("within", within[:_LONGEST_LIST])


@blueprint.get("/<address>")
@with_access("documents.read")
def show(access: Access, address: str) -> ResponseReturnValue:
    document = _open(access, address)
    text, hindrance = None, None
    if request.args.get("as") == "json":
        try:
            text = document.text
        except (NotAsText, TooLargeForText) as error:
            hindrance = error
    return _page(
        "document", access, document=document, rows=_rows(document, []), text=text,
        hindrance=hindrance, earlier=_earlier(document),
    )  # fmt: skip


@blueprint.route("/<address>/edit", methods=["GET", "POST"])
@_TAKES_FORM
@keeps_text
@with_access("documents.write")
def edit(access: Access, address: str) -> ResponseReturnValue:
    document, form = _open(access, address), EditForm()
    if not form.is_submitted():
        return _edit_page(access, document, form, [])
    entries = read_entries(document.shown)
    if not document.is_still(form.etag.data or ""):
        return _conflict(access, document, form, without_unchanged(entries))
    outcome = outcome_of(document.shown, entries, document.access.mask)
    if not _is_saving() or not form.validate() or outcome.faults:
        form.status = 422 if _is_saving() else 200
        return _edit_page(access, document, form, _after(asked(), entries))
    try:
        return _save(access, document, form, patch(document.shown, outcome.changes))
    except PreconditionFailed:
        return _conflict(access, _open(access, address), form, without_unchanged(entries))
    except PortalError as error:
        form.refuse(error)
        return _edit_page(access, document, form, without_unchanged(entries))


@blueprint.route("/<address>/json", methods=["GET", "POST"])
@_TAKES_FORM
@keeps_text
@with_access("documents.write")
def edit_text(access: Access, address: str) -> ResponseReturnValue:
    document, form = _open(access, address), EditForm()
    typed = request.form.get("text", "")
    try:
        if not form.is_submitted():
            return _text_page(access, document, form, _text_or_refused(form, document.shown))
        if not _is_saving() or not form.validate():
            return _text_page(access, document, form, typed)
        changed = drafts.read_text(typed, document)
        if not document.is_still(form.etag.data or ""):
            raise PreconditionFailed
        return _save(access, document, form, changed)
    except PreconditionFailed:
        again = _open(access, address)
        return _conflict(access, again, form, _of_text(form, again, changed))
    except PortalError as error:
        form.refuse(error, "text")
        return _text_page(access, document, form, typed)


@blueprint.route("/<address>/conflict", methods=["GET", "POST"])
@_TAKES_FORM
@keeps_text
@with_access("documents.write")
def resolve(access: Access, address: str) -> ResponseReturnValue:
    document, form = _open(access, address), EditForm()
    entries = unpacked(request.form.get("typed", ""))
    if not form.is_submitted():
        return redirect(_url(access, "show", address=address), 303)
    if asked().action == "form":
        return _edit_page(access, document, form, entries)
    comparison = _compare(document, form, entries)
    try:
        if not document.is_still(form.etag.data or ""):
            raise PreconditionFailed
        if not _is_saving() or not form.validate() or comparison.open_choices:
            return _conflict(access, document, form, entries, status=422)
        changes = merging.changes_of(document.shown, comparison, document.access.mask)
        return _save(access, document, form, patch(document.shown, changes))
    except PreconditionFailed:
        return _conflict(access, _open(access, address), form, entries)
    except PortalError as error:
        form.refuse(error)
        return _conflict(access, document, form, entries, status=error.status)


@blueprint.route("/new", methods=["GET", "POST"])
@_TAKES_FORM
@keeps_text
@with_access("documents.write")
def insert(access: Access) -> ResponseReturnValue:
    return _insert(access, None)


@blueprint.route("/<address>/duplicate", methods=["GET", "POST"])
@_TAKES_FORM
@keeps_text
@with_access("documents.write")
def duplicate(access: Access, address: str) -> ResponseReturnValue:
    return _insert(access, _open(access, address))


@blueprint.route("/<address>/delete", methods=["GET", "POST"])
@with_access("documents.write")
def delete(access: Access, address: str) -> ResponseReturnValue:
    form, seen = EditForm(), document_access(access, request_context())
    if form.is_submitted() and _is_saving() and form.validate():
        try:
            drafts.delete_document(seen, address, form.etag.data or "", form.reason.data or "")
            flash(f"The document is deleted. {_undo_words()}", "ok")
            return redirect(_list_url(access), 303)
        except PreconditionFailed as error:
            form.refuse(error)
    document = open_document(seen, address)
    form.open(document)
    return _page("delete", access, form, document=document, rows=_rows(document, []))


def _insert(access: Access, source: OpenDocument | None) -> ResponseReturnValue:
    form, seen, new_id = EditForm(), document_access(access, request_context()), read_id()
    as_text = request.args.get("as") == "json"
    template = drafts.new_document(new_id.value, source.shown if source else None, seen.mask)
    entries = read_entries(template)
    typed: str | None = request.form.get("text", "")
    outcome = outcome_of(template, entries, seen.mask)
    if form.is_submitted():
        done = _try_inserting(seen, form, template, outcome, new_id, typed if as_text else None)
        if done is not None:
            flash(f"The document is inserted. {_undo_words()}", "ok")
            return redirect(_url(access, "show", address=address_of(done)), 303)
    elif as_text:
        typed = _text_or_refused(form, template)
    rows = _rows_of(template, _after(asked(), entries), Mask(), form).without_id()
    return _page(
        "insert", access, form, source=source, rows=rows, text=typed, new_id=new_id,
        as_text=as_text,
    )  # fmt: skip


def _text_or_refused(form: EditForm, template: bytes) -> str | None:
    try:
        return drafts.text_of(template)
    except (NotAsText, TooLargeForText) as error:
        form.refuse(error)
        return None


def _try_inserting(
    access: DocumentAccess,
    form: EditForm,
    template: bytes,
    outcome: Outcome,
    new_id: NewId,
    text: str | None,
) -> bytes | None:
    """The ``_id`` of the document that was inserted; ``None`` where the form is shown again."""
    if not _is_saving() or not form.validate():
        return None
    if text is None and (outcome.faults or new_id.fault):
        form.status = 422
        form.row_faults |= {"id-text": new_id.fault} if new_id.fault else {}
        return None
    try:
        made = shell_syntax.read(extended_json.parse, text) if text is not None else None
        made = patch(template, outcome.changes) if made is None else made
        return drafts.insert_document(access, made, form.reason.data or "")
    except PortalError as error:
        form.refuse(error, "text")
        return None


def _open(access: Access, address: str) -> OpenDocument:
    return open_document(document_access(access, request_context()), address)


def _is_saving() -> bool:
    return asked().action == SAVE and not stale_forms.is_stale()


def _after(action: Asked, entries: Sequence[Entry]) -> list[Entry]:
    """The entries after a button that removes, keeps or adds a field and saves nothing."""
    kept = without_unchanged(entries)
    if action.path is None or action.action not in ("remove", "keep", "add", "append"):
        return kept
    if action.action == "add":
        return [*kept, Entry((*action.path, ""), Typed(Kind.TEXT, ""), added=True)]
    if action.action == "append":
        return [*kept, Entry(action.path, Typed(Kind.TEXT, ""), added=True)]
    others = [
        entry for entry in kept if entry.added or entry.path[: len(action.path)] != action.path
    ]
    return [*others, Entry(action.path, None)] if action.action == "remove" else others


def _save(
    access: Access, document: OpenDocument, form: EditForm, changed: bytes
) -> ResponseReturnValue:
    count = len(differences(document.shown, changed))
    if drafts.save_document(document, changed, form.reason.data or ""):
        fields = f"{count} field" if count == 1 else f"{count or 'The order of its'} fields"
        flash(f"{fields} saved. {_undo_words()}", "ok")
    else:
        flash(_NOTHING_NEW, "ok")
    return redirect(_url(access, "show", address=document.address), 303)


def _undo_words() -> str:
    return f"It can be undone until {plain_day(clock.now() + KEPT)}."


def _of_text(form: EditForm, document: OpenDocument, changed: bytes) -> list[Entry]:
    """The entries that a typed text makes beside what was opened, or else what is stored."""
    before, limit = opened.unpack(form.base.data or "") or (document.shown, None)
    reduced = changed if limit is None else opened.reduced(changed, limit)
    return entries_at(differences(before, reduced), before, changed)


def _conflict(
    access: Access,
    document: OpenDocument,
    form: EditForm,
    entries: Sequence[Entry],
    status: int = 409,
) -> ResponseReturnValue:
    if merging.is_all_there(document.shown, entries, document.access.mask):
        flash("All of it is stored." if entries else _NOTHING_NEW, "ok")
        return redirect(_url(access, "show", address=document.address), 303)
    comparison = _compare(document, form, entries)
    form.etag.data = document.etag
    form.status = status
    return _page(
        "conflict",
        access,
        form,
        document=document,
        comparison=comparison,
        typed=packed(entries),
        opened_at=form.opened,
        theirs=_last_since(document, form.opened),
    )


def _compare(
    document: OpenDocument, form: EditForm, entries: Sequence[Entry]
) -> merging.Comparison:
    choices = {name[2:]: value for name, value in request.form.items() if name[:2] == "c."}
    return merging.compare(
        form.base.data or "", document.shown, entries, document.access.mask, _zone(), choices
    )


def _edit_page(
    access: Access, document: OpenDocument, form: EditForm, entries: Sequence[Entry]
) -> ResponseReturnValue:
    form.open(document)
    rows = _rows(document, entries, form)
    return _page(
        "edit", access, form, document=document, rows=rows, earlier=_earlier(document),
        as_text=document.has_text,
    )  # fmt: skip


def _text_page(
    access: Access, document: OpenDocument, form: EditForm, text: str | None
) -> ResponseReturnValue:
    form.open(document)
    return _page("text", access, form, document=document, text=text)


def _earlier(document: OpenDocument) -> list[EarlierEdit]:
    return list_edits(document.access.organization, document=document.id).rows[:_EARLIER]


def _last_since(document: OpenDocument, opened_at: datetime | None) -> EarlierEdit | None:
    """The last edit of the document since it was opened, if the history has it."""
    last = next(iter(_earlier(document)), None)
    return last if last and opened_at and last.at >= opened_at else None


def _rows(document: OpenDocument, entries: Sequence[Entry], form: EditForm | None = None) -> Rows:
    return _rows_of(document.shown, entries, document.access.mask, form)


def _rows_of(
    document: bytes,
    entries: Sequence[Entry],
    mask: Mask,
    form: EditForm | None,
) -> Rows:
    view = View(_zone(), shown_lists(), request.values.get("q", ""))
    rows = rows_of(document, entries, outcome_of(document, entries, mask), mask, view)
    if form is not None and _is_saving():
        form.row_faults |= {row.control_id: row.fault for row in rows.rows if row.fault}
    return rows


def _zone() -> str:
    return page_zone() or "UTC"


def _url(access: Access, endpoint: str, **values: Any) -> str:
    return url_for(f"editing.{endpoint}", slug=access.organization.slug, **values)


def _list_url(access: Access) -> str:
    """The list that one came from."""
    within = parse_qsl(request.args.get("within", ""), max_num_fields=_MOST_ARGUMENTS)
    query = f"?{urlencode(within)}" if within else ""
    return url_for("browsing.show", slug=access.organization.slug) + query


def _page(
    name: str, access: Access, form: EditForm | None = None, **values: object
) -> ResponseReturnValue:
    if form is not None and stale_forms.is_stale():
        form.status = 400
        stale_forms.explain()
    return render_page(
        f"editing/{name}.html",
        access,
        form,
        kinds=WORDS,
        zone=_zone(),
        until=clock.now() + KEPT,
        key_of_all=key_of(()),
        **values,
    )
