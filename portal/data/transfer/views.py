"""Pages of imports and exports."""

import itertools
from collections.abc import Iterable
from typing import Any

from flask import Blueprint, Response, jsonify, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError

from portal.bidi import isolated
from portal.data.access import DocumentAccess, document_access
from portal.data.errors import (
    IndexNeeded,
)
from portal.data.formats.error_files import ErrorFile
from portal.data.formats.options import Format
from portal.data.masks.errors import FieldMasked
from portal.data.queries import Query
from portal.data.selections import selection_from
from portal.data.transfer import exports, files, imports, showing
from portal.data.transfer.dump_indexes import DumpIndex, begin_builds, indexes_of_dump
from portal.data.transfer.errors import (
    ChunkRefused,
    IndexNotOffered,
    IndexWouldDelete,
    MappingRefused,
    NoFileChosen,
    NotYours,
)
from portal.data.transfer.files import LARGEST_BYTES, Purpose, StoredFile, find_file
from portal.data.transfer.forms import ExportForm, TransferForm
from portal.data.transfer.mapping import (
    Earlier,
    decision_from,
    draft_from,
    earlier_plan,
    earlier_plans,
    proposed,
)
from portal.data.transfer.stages import Import, Stage, find_import, imports_of
from portal.errors import PortalError
from portal.jobs.errors import JobEnded
from portal.organizations.access import replay
from portal.organizations.access.guards import render_page, with_access
from portal.organizations.access.lookup import Access
from portal.web import bodies, streaming
from portal.web.bodies import FORM, AcceptedBody, takes_body
from portal.web.file_forms import MULTIPART, read_file_form
from portal.web.forms import see_other
from portal.web.requests import request_context
from portal.web.template_filters import page_zone

blueprint = Blueprint("transfer", __name__, url_prefix="/organizations/<slug>/data")
replay.install(blueprint, "transfer.show_all")

MOST_LISTED = 50
OCTETS = "application/octet-stream"


@blueprint.get("/imports")
@with_access("documents.read")
def show_all(access: Access) -> ResponseReturnValue:
    return _overview(access)


@blueprint.post("/imports")
@takes_body(AcceptedBody((FORM, MULTIPART), LARGEST_BYTES, MULTIPART))
@with_access("documents.write")
def upload(access: Access) -> ResponseReturnValue:
    """Takes the plain form: the file is stored while it arrives."""
    if request.mimetype != MULTIPART:
        raise CSRFError("only the portal's own form is taken")
    seen = _seen(access)

    def store() -> Import:
        form = read_file_form()
        content = iter(form.content)
        first = next(content, b"")
        if not form.name or not first:
            raise NoFileChosen
        file = imports.begin_upload(seen, form.name, zone=page_zone())
        size_bytes = files.put_stream(seen, file, itertools.chain([first], content))
        return imports.finish_upload(seen, file, size_bytes)

    try:
        stored = streaming.in_parts(store)
    except PortalError as error:
        if error.field != "file":
            raise
        return _overview(access, error)
    return _to(access, stored.file)


@blueprint.post("/imports/uploads")
@with_access("documents.write")
def begin_upload(access: Access) -> ResponseReturnValue:
    """Begins an upload in parts, for a script."""
    size_bytes = max(0, request.form.get("size", 0, type=int))
    name = request.form.get("name", "")
    file = imports.begin_upload(_seen(access), name, size_bytes=size_bytes, zone=page_zone())
    return jsonify(_upload_of(access, file)), 201


@blueprint.get("/imports/<file_id>/parts")
@with_access("documents.write")
def show_parts(access: Access, file_id: str) -> ResponseReturnValue:
    """Tells a script which part comes next."""
    return jsonify(_upload_of(access, _own_upload(access, file_id)))


@blueprint.post("/imports/<file_id>/parts/<int:number>")
@takes_body(AcceptedBody((OCTETS,), files.CHUNK_BYTES))
@with_access("documents.write")
def put_part(access: Access, file_id: str, number: int) -> ResponseReturnValue:
    if request.mimetype != OCTETS:
        raise ChunkRefused(number)
    file = _own_upload(access, file_id)
    files.put_chunk(_seen(access), file, number, bodies.read())
    return "", 204


@blueprint.post("/imports/<file_id>/complete")
@with_access("documents.write")
def complete(access: Access, file_id: str) -> ResponseReturnValue:
    file = _own_upload(access, file_id)
    imports.finish_upload(_seen(access), file, file.size_bytes)
    return jsonify({"location": _page_of(access, file)})


@blueprint.get("/imports/<file_id>")
@with_access("documents.write")
def show(access: Access, file_id: str) -> ResponseReturnValue:
    return _page(access, find_import(access.organization, file_id))


_CHOICES = ("encoding", "delimiter", "heading", "member")
_DECIDED = (Stage.DECIDE, Stage.CHECK, Stage.READY)


@blueprint.post("/imports/<file_id>/reading")
@with_access("documents.write")
def choose_reading(access: Access, file_id: str) -> ResponseReturnValue:
    found = _own(access, file_id)
    form = TransferForm()
    chosen = {name: request.form.get(name) for name in _CHOICES}
    earlier, draft, faults = None, None, []
    try:
        if found.stage in _DECIDED:
            earlier = earlier_plan(access.organization, found, request.form.get("earlier", ""))
            draft = draft_from(found, request.form, earlier)
        done = form.submit(
            lambda: imports.choose_reading(_seen(access), found, **chosen, draft=draft)
        )
    except MappingRefused as error:
        if draft is None:
            return _page(access, found, form, error.reason)
        done, faults = None, [("heading", error.reason)]
    if done:
        return _to(access, done.file)
    if draft is None:
        return _page(access, found, form)
    decision = decision_from(found, request.form, earlier)
    status = 422 if faults else form.status
    return _deciding(access, found, form, decision, faults, earlier=earlier, status=status)


@blueprint.route("/imports/<file_id>/decide", methods=["GET", "POST"])
@with_access("documents.write")
def decide(access: Access, file_id: str) -> ResponseReturnValue:
    found = _own(access, file_id)
    form = TransferForm()
    if request.method == "GET" or found.stage not in _DECIDED:
        return _deciding(access, found, form)
    try:
        earlier = earlier_plan(access.organization, found, request.form.get("earlier", ""))
    except MappingRefused as error:
        faults = [("earlier", error.reason)]
        return _deciding(access, found, form, faults=faults, status=error.status)
    decision = decision_from(found, request.form, earlier)
    plan = decision.plan
    if plan is None:
        return _deciding(access, found, form, decision, earlier=earlier, status=422)
    try:
        done = form.submit(lambda: imports.decide(_seen(access), found, plan))
    except (MappingRefused, IndexNeeded, FieldMasked) as error:
        fault = getattr(error, "reason", error.words)
        return _deciding(
            access, found, form, decision, [("key", fault)], earlier=earlier, status=error.status
        )
    if done:
        return _to(access, done.file)
    return _deciding(access, found, form, decision, earlier=earlier)


@blueprint.post("/imports/<file_id>/write")
@with_access("documents.write")
def write(access: Access, file_id: str) -> ResponseReturnValue:
    found = _own(access, file_id)
    form = TransferForm()
    done = form.submit(lambda: imports.start_write(_seen(access), found))
    return _to(access, done.file) if done else _page(access, found, form)


@blueprint.post("/imports/<file_id>/indexes")
@with_access("indexes.manage")
def build_indexes(access: Access, file_id: str) -> ResponseReturnValue:
    """Has indexes built that the collection had in its dump."""
    found = find_import(access.organization, file_id)
    form, names = TransferForm(), request.form.getlist("index")
    try:
        form.submit(lambda: begin_builds(access, found, names, request_context()))
    except (IndexNotOffered, IndexWouldDelete) as error:
        return _page(access, found, form, error.words, error.status)
    if not form.succeeded:
        return _page(access, found, form)
    words = "The indexes of the dump are being built."
    return see_other("structure.show_indexes", words, slug=access.organization.slug)


@blueprint.route("/imports/<file_id>/cancel", methods=["GET", "POST"])
@with_access("documents.write")
def cancel(access: Access, file_id: str) -> ResponseReturnValue:
    found = find_import(access.organization, file_id)
    form = TransferForm()
    try:
        done = form.submit(lambda: imports.cancel_import(_seen(access), found))
    except JobEnded:
        done = found
    if done or not found.is_running:
        return _to(access, found.file)
    return render_page("transfer/cancel.html", access, form, found=found, shown=_shown(found))


@blueprint.route("/imports/<file_id>/discard", methods=["GET", "POST"])
@with_access("documents.write")
def discard(access: Access, file_id: str) -> ResponseReturnValue:
    found = find_import(access.organization, file_id)
    form = TransferForm()
    form.submit(lambda: imports.discard_import(_seen(access), found))
    if form.succeeded:
        words = f"The upload of {isolated(found.file.name)} is deleted."
        return see_other(".show_all", words, slug=access.organization.slug)
    return render_page("transfer/discard.html", access, form, found=found)


@blueprint.get("/imports/<file_id>/errors")
@with_access("documents.write")
def errors(access: Access, file_id: str) -> ResponseReturnValue:
    """The file of the records that failed, to be mended and imported again."""
    found = _own(access, file_id)
    content, pieces = showing.errors_of(found)
    if found.plan is None or content is None or not pieces:
        return redirect(_page_of(access, found.file), 303)
    error_file = ErrorFile(found.plan.options)
    parts = files.pieces_of(access.organization, content, 0, pieces)
    name = f"errors-of-{found.file.name.rsplit('.', 1)[0]}.{error_file.format.value}"
    return _sent(itertools.chain([error_file.begin()], parts), name, error_file.format)


@blueprint.route("/exports", methods=["GET", "POST"])
@with_access("documents.read")
def export(access: Access) -> ResponseReturnValue:
    """Asks how what the URL selects is exported, and has it done."""
    seen, selection = _seen(access), selection_from(request.args)
    form, words = ExportForm(selection.columns), selection.words()
    asked = Query(selection.filter, selection.order)
    done = form.submit(
        lambda: exports.start_export(seen, asked, form.options, words, expected=form.known)
    )
    if done:
        return redirect(_export_page(access, done.file), 303)
    count = exports.count_matching(seen, asked.filter)
    form.show(count)
    return render_page(
        "transfer/export_new.html",
        access,
        form,
        words=words,
        order=selection.sort_words(),
        count=showing.count_words(count, are_all=not asked.filter),
    )


@blueprint.get("/exports/<export_id>")
@with_access("documents.read")
def show_export(access: Access, export_id: str) -> ResponseReturnValue:
    found = _own_export(access, export_id)
    form = TransferForm()
    return render_page(
        "transfer/export.html",
        access,
        form,
        found=found,
        shown=showing.shown_export(found),
        fields=showing.fields_words([each.header for each in found.options.columns]),
        left_out=showing.left_out_words(found.written),
    )


@blueprint.post("/exports/<export_id>/delete")
@with_access("documents.read")
def delete_export(access: Access, export_id: str) -> ResponseReturnValue:
    found = _own_export(access, export_id)
    form = TransferForm()
    form.submit(lambda: exports.cancel_export(_seen(access), found))
    if form.succeeded:
        return see_other(".show_all", "The export is deleted.", slug=access.organization.slug)
    return redirect(_export_page(access, found.file), 303)


@blueprint.get("/exports/<export_id>/file")
@with_access("documents.read")
def fetch(access: Access, export_id: str) -> ResponseReturnValue:
    found = _own_export(access, export_id)
    content = exports.export_content(_seen(access), found)
    return _sent(content, found.file.name, found.options.format, size_bytes=found.file.size_bytes)


def _overview(access: Access, fault: PortalError | None = None) -> ResponseReturnValue:
    organization, seen = access.organization, _seen(access)
    listed: list[Import] = []
    if access.can("documents.write"):
        listed = imports_of(organization, MOST_LISTED)
    page = render_page(
        "transfer/overview.html",
        access,
        imports=[(each, showing.state_of(each)) for each in listed],
        exports=exports.exports_of(organization, seen.context, MOST_LISTED),
        largest=LARGEST_BYTES,
        fault=fault,
    )
    return (page[0], fault.status) if fault and isinstance(page, tuple) else page


def _page(
    access: Access,
    found: Import,
    form: TransferForm | None = None,
    fault: str | None = None,
    status: int = 422,
) -> ResponseReturnValue:
    """The page of what the import is at."""
    if found.stage == Stage.DECIDE and found.file.belongs_to(request_context()):
        return _deciding(access, found, form or TransferForm())
    page = render_page(
        f"transfer/{_TEMPLATES[found.stage]}.html",
        access,
        form or TransferForm(),
        found=found,
        shown=_shown(found),
        mine=found.file.belongs_to(request_context()),
        reading=showing.reading_of(found),
        fault=fault,
        indexes=_indexes_of_dump(access, found),
    )
    return (page[0], status) if fault and isinstance(page, tuple) else page


def _indexes_of_dump(access: Access, found: Import) -> list[DumpIndex]:
    if found.stage != Stage.DONE or not access.can("indexes.manage"):
        return []
    return indexes_of_dump(_seen(access), found)


_TEMPLATES = {
    Stage.UPLOAD: "upload",
    Stage.READING: "reading",
    Stage.EXAMINE: "progress",
    Stage.DECIDE: "progress",
    Stage.CHECK: "progress",
    Stage.READY: "ready",
    Stage.WRITE: "progress",
    Stage.DONE: "result",
}


def _deciding(
    access: Access,
    found: Import,
    form: TransferForm,
    decision: Any = None,
    faults: Iterable[tuple[str, str]] = (),
    *,
    earlier: Earlier | None = None,
    status: int = 200,
) -> ResponseReturnValue:
    if found.stage not in _DECIDED or found.is_running:
        return _to(access, found.file)
    plans = earlier_plans(access.organization, found)
    if earlier is None and decision is None:
        earlier = next((each for each in plans if each.id == request.args.get("earlier")), None)
    decision = decision or proposed(found, earlier)
    page = render_page(
        "transfer/mapping.html",
        access,
        form,
        found=found,
        shown=_shown(found),
        decision=decision,
        earlier=earlier,
        earlier_plans=plans,
        reading=showing.reading_of(found),
        faults=[*decision.faults, *faults],
        asked=status != 200,
    )
    return (page[0], status) if isinstance(page, tuple) else page


def _seen(access: Access) -> DocumentAccess:
    return document_access(access, request_context())


def _shown(found: Import) -> showing.ShownImport:
    return showing.shown_import(found)


def _own(access: Access, file_id: str) -> Import:
    found = find_import(access.organization, file_id)
    if not found.file.belongs_to(request_context()):
        raise NotYours
    return found


def _own_upload(access: Access, file_id: str) -> StoredFile:
    file = find_file(access.organization, file_id, Purpose.IMPORT)
    if not file.belongs_to(request_context()):
        raise NotYours
    return file


def _own_export(access: Access, export_id: str) -> exports.Export:
    found = exports.find_export(access.organization, export_id)
    if not found.file.belongs_to(request_context()):
        raise NotYours
    return found


def _upload_of(access: Access, file: StoredFile) -> dict[str, Any]:
    slug = access.organization.slug
    missing = files.first_missing(access.organization, file, file.size_bytes)
    return {
        "name": file.name,
        "size": file.size_bytes,
        "part_bytes": files.CHUNK_BYTES,
        "next": missing,
        "parts": url_for(".show_parts", slug=slug, file_id=file.id),
        "complete": url_for(".complete", slug=slug, file_id=file.id),
    }


def _page_of(access: Access, file: StoredFile) -> str:
    return url_for(".show", slug=access.organization.slug, file_id=file.id)


def _export_page(access: Access, file: StoredFile) -> str:
    return url_for(".show_export", slug=access.organization.slug, export_id=file.id)


def _to(access: Access, file: StoredFile) -> ResponseReturnValue:
    return redirect(_page_of(access, file), 303)


def _sent(
    parts: Iterable[bytes], name: str, kind: Format, *, size_bytes: int | None = None
) -> Response:
    """A file that is sent in parts, each read when the one before is gone. Raises Overloaded."""
    content = streaming.bytes_in_parts(parts)
    response = Response(content, mimetype=kind.media_type)
    response.headers.set("Content-Disposition", "attachment", filename=name)
    response.headers["Cache-Control"] = "no-store"
    if size_bytes is not None:
        response.content_length = size_bytes
    return response
