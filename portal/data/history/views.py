"""Pages of the history of an organization's documents, and of edits of many."""

import csv
import io
from collections.abc import Iterator
from urllib.parse import urlencode

from bson import ObjectId
from flask import Blueprint, Response, flash, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal import clock
from portal.data.access import DocumentAccess, document_access
from portal.data.document_ids import address_of, parse_document_id
from portal.data.history import changing, entries, erasing
from portal.data.history.changing import BulkEdit, Preview
from portal.data.history.entries import Entry, Outcome
from portal.data.history.errors import AlreadyUndone, IdNotConfirmed
from portal.data.history.field_changes import Changes, DeleteDocuments
from portal.data.history.forms import (
    ChangeForm,
    ConfirmedForm,
    DeleteForm,
    EraseForm,
    ReasonForm,
    SettingsForm,
)
from portal.data.history.settings import record_programs
from portal.data.history.undoing import undo_edit
from portal.data.history.words import REFUSALS, shown_value
from portal.data.literal_fields import words_of_field
from portal.data.recording import KEPT
from portal.data.selections import Selection, selection_from
from portal.documents.jobs import Job
from portal.jobs.managing import cancel_job, find_job_of
from portal.jobs.progress import shown_job
from portal.organizations.access import replay
from portal.organizations.access.guards import render_page, with_access
from portal.organizations.access.lookup import Access
from portal.web.forms import IdempotentForm, see_other
from portal.web.requests import number_argument, request_context

blueprint = Blueprint("history", __name__, url_prefix="/organizations/<slug>/data")

replay.install(blueprint, "history.show_all")

_ONE = "/history/<edit_id>"
_HIGHEST_NUMBER = 2**53


@blueprint.get("/history")
@with_access("documents.read")
def show_all(access: Access) -> ResponseReturnValue:
    address, mine = request.args.get("document"), bool(request.args.get("mine"))
    document = parse_document_id(address) if address else None
    page = entries.list_edits(
        access.organization,
        before=_id_in_args("before"),
        after=_id_in_args("after"),
        document=document,
        account=current_user.account_id if mine else None,
    )
    return render_page(
        "history/list.html",
        access,
        page=page,
        document=document and entries.shown_id(document),
        address=address,
        mine=mine,
        space=entries.space_of(access.organization),
        now=clock.now(),
    )


@blueprint.route("/history/settings", methods=["GET", "POST"])
@with_access("documents.record")
def change_settings(access: Access) -> ResponseReturnValue:
    form = SettingsForm()
    if not form.is_submitted():
        form.records_programs.data = bool(access.organization.records_programs)
    recorded = form.records_programs.data
    changed = form.submit(lambda: record_programs(access, request_context(), recorded=recorded))
    if changed:
        words = "is kept" if changed.records_programs else "is not kept"
        flash(f"What programs write {words} from now on.", "ok")
        return see_other(".show_all", slug=changed.slug)
    return render_page("history/settings.html", access, form)


@blueprint.get(_ONE)
@with_access("documents.read")
def show(access: Access, edit_id: str) -> ResponseReturnValue:
    entry = entries.entry_of(access.organization, edit_id)
    after = number_argument("after", _HIGHEST_NUMBER)
    left = entries.outcomes_of(access.organization, entry, after=after)
    shown, more = left[: entries.OUTCOMES_PER_PAGE], len(left) > entries.OUTCOMES_PER_PAGE
    return render_page(
        "history/show.html",
        access,
        entry=entry,
        job=_shown_job(access, entry),
        left=shown,
        erasures=entries.erasures_of(access.organization, shown),
        later=entries.later_edits_of(access.organization, entry, shown),
        next=shown[-1].number if more else None,
        by_refusal=entries.refusals_of(access.organization, entry),
        refusals=REFUSALS,
        form=IdempotentForm(),
    )


@blueprint.get(f"{_ONE}/left.csv")
@with_access("documents.read")
def export_left(access: Access, edit_id: str) -> ResponseReturnValue:
    entry = entries.entry_of(access.organization, edit_id)
    name = f"left-alone-{entry.id}.csv"
    return Response(
        _as_csv(access, entry),
        mimetype="text/csv",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


@blueprint.route(f"{_ONE}/undo", methods=["GET", "POST"])
@with_access("documents.write")
def undo(access: Access, edit_id: str) -> ResponseReturnValue:
    entry = entries.entry_of(access.organization, edit_id)
    form = ReasonForm()
    seen = document_access(access, request_context())
    undone = form.submit(lambda: undo_edit(seen, edit_id, reason=form.why))
    if undone:
        return see_other(".show", slug=access.organization.slug, edit_id=undone.id)
    if not entry.can_be_undone:
        raise AlreadyUndone
    return render_page("history/undo.html", access, form, entry=entry)


@blueprint.post(f"{_ONE}/cancel")
@with_access("documents.write")
def cancel(access: Access, edit_id: str) -> ResponseReturnValue:
    entry = entries.entry_of(access.organization, edit_id)
    if entry.running and IdempotentForm().validate_on_submit():
        cancel_job(str(entry.job), request_context())
    return see_other(".show", slug=access.organization.slug, edit_id=edit_id)


@blueprint.route("/bulk", methods=["GET", "POST"])
@with_access("documents.write")
def change_many(access: Access) -> ResponseReturnValue:
    selection, form = selection_from(request.args), ChangeForm()
    seen = document_access(access, request_context())
    done = form.submit(lambda: _preview_or_start(seen, selection, form))
    if isinstance(done, ObjectId):
        return see_other(".show", slug=access.organization.slug, edit_id=done)
    preview = done
    if form.starts and form.expected.errors:  # more match now
        preview = changing.preview_change(seen, selection.filter, form.chosen)
    slug, args = access.organization.slug, selection.query_args()
    where = {
        "selection": selection,
        "changed_filter": url_for("browsing.show", slug=slug) + _query(args),
        "action": url_for(".change_many", slug=slug) + _query(args),
    }
    if preview is None:
        return render_page("history/change.html", access, form, **where)
    return render_page(
        "history/preview.html",
        access,
        form,
        preview=preview,
        edit=ObjectId(),
        chosen=form.chosen,
        refusals=REFUSALS,
        shown_value=shown_value,
        words_of_field=words_of_field,
        until=clock.now() + KEPT,
        now=clock.now(),
        **where,
    )


@blueprint.route("/bulk/delete", methods=["GET", "POST"])
@with_access("documents.write")
def delete_many(access: Access) -> ResponseReturnValue:
    selection, form = selection_from(request.args), DeleteForm()
    seen = document_access(access, request_context())
    begun = form.submit(lambda: _start(seen, selection, DeleteDocuments(), form))
    slug, args = access.organization.slug, selection.query_args()
    if begun:
        return see_other(".show", slug=slug, edit_id=begun)
    return render_page(
        "history/delete.html",
        access,
        form,
        selection=selection,
        changed_filter=url_for("browsing.show", slug=slug) + _query(args),
        action=url_for(".delete_many", slug=slug) + _query(args),
        preview=changing.preview_change(seen, selection.filter, DeleteDocuments()),
        edit=ObjectId(),
        shown_value=shown_value,
        until=clock.now() + KEPT,
        now=clock.now(),
    )


@blueprint.route("/documents/<address>/erase", methods=["GET", "POST"])
@with_access("documents.erase")
def erase(access: Access, address: str) -> ResponseReturnValue:
    document_id = parse_document_id(address)
    shown_id, form = entries.shown_id(document_id), EraseForm()
    seen = document_access(access, request_context())

    def confirmed() -> ObjectId:
        if form.confirm_id.data != shown_id:
            raise IdNotConfirmed(shown_id)
        return erasing.erase_document(seen, document_id, reason=form.why)[0]

    edit_id = form.submit(confirmed)
    if edit_id:
        return see_other(".show", slug=access.organization.slug, edit_id=edit_id)
    return render_page(
        "history/erase.html",
        access,
        form,
        shown_id=shown_id,
        address=address_of(document_id),
        exists=erasing.exists(seen, document_id),
    )


def _preview_or_start(
    seen: DocumentAccess, selection: Selection, form: ChangeForm
) -> Preview | ObjectId:
    if not form.starts:
        others = form.step.data == "others"
        return changing.preview_change(seen, selection.filter, form.chosen, others=others)
    return _start(seen, selection, form.chosen, form)


def _start(
    seen: DocumentAccess, selection: Selection, changes: Changes, form: ConfirmedForm
) -> ObjectId:
    expected, edit_id = form.confirmed
    bulk = BulkEdit(selection.filter, changes, expected)
    changing.start_change(seen, bulk, edit_id, reason=form.why)
    return edit_id


def _shown_job(access: Access, entry: Entry) -> object | None:
    """The entry's job, while it is not at its end."""
    if not entry.open or entry.job is None:
        return None
    job: Job = find_job_of(access.organization.id, str(entry.job))
    return shown_job(job, job.title)


def _as_csv(access: Access, entry: Entry) -> Iterator[str]:
    yield "id,reason\r\n"
    after: int | None = None
    while left := entries.outcomes_of(access.organization, entry, after=after):
        for outcome in left:
            yield _line(outcome)
        after = left[-1].number


def _line(outcome: Outcome) -> str:
    line = io.StringIO()
    words = REFUSALS[outcome.refusal].format(detail=outcome.detail)
    csv.writer(line).writerow([outcome.shown_id, words])
    return line.getvalue()


def _id_in_args(name: str) -> ObjectId | None:
    text = request.args.get(name, "")
    return ObjectId(text) if ObjectId.is_valid(text) else None


def _query(args: list[tuple[str, str]]) -> str:
    return f"?{urlencode(args)}" if args else ""
