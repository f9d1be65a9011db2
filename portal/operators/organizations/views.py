"""Pages of one organization."""

from collections.abc import Callable, Mapping
from typing import Any

from bson import ObjectId
from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from portal import settings
from portal.audit.trail import HIGHEST_SEQ, events_of
from portal.bidi import isolated
from portal.documents.organizations import Organization, OrganizationState
from portal.identity.sessions.reauthentication import reauthenticated
from portal.operators.access import Operator
from portal.operators.organization_pages import (
    find_organization,
    install,
    render_page,
    with_organization,
)
from portal.operators.organizations import notes
from portal.operators.organizations.acting import apply_action
from portal.operators.organizations.errors import PlanOutdated
from portal.operators.organizations.forms import (
    ExternalForm,
    NoteForm,
    OwnerForm,
    PlanForm,
    PlannedForm,
    PlannedNameForm,
)
from portal.operators.organizations.owners import set_owner
from portal.operators.organizations.planning import PlannedAction, plan_action
from portal.operators.organizations.reading import figures_of, limits_shown
from portal.organizations import external, moves, planning
from portal.organizations.access.lookup import parse_object_id
from portal.organizations.directory import Preview, details_of, preview_of
from portal.organizations.lifecycle.names import slug_of
from portal.organizations.members import listing
from portal.organizations.restrictions.listing import restrictions_of
from portal.web import rate_limits
from portal.web.forms import IdempotentForm, see_other
from portal.web.requests import number_argument, sort_key_argument

blueprint = Blueprint(
    "operator_organizations", __name__, url_prefix="/operator/organizations/<organization_id>"
)
install(blueprint, "operator_organizations.show")


@blueprint.get("")
@with_organization("console.view")
def show(operator: Operator, organization: Organization) -> ResponseReturnValue:
    figures = figures_of(organization)
    limited = organization.restricted or organization.held
    return render_page(
        "operators/organizations/overview.html",
        operator,
        organization,
        figures=figures,
        limits=limits_shown(organization, figures),
        details=details_of(organization),
        moving=moves.shown_move(organization),
        notes=notes.notes_of(organization.id, size=2),
        restrictions=restrictions_of(organization.id) if limited else None,
        trash_days=settings.current().trash_days,
    )


@blueprint.get("/members")
@with_organization("console.view")
def members(operator: Operator, organization: Organization) -> ResponseReturnValue:
    page = listing.members_of(
        organization.id,
        before=sort_key_argument("before", listing.MEMBER_KEY),
        after=sort_key_argument("after", listing.MEMBER_KEY),
    )
    total, owners = listing.counts_of(organization.id, page)
    return render_page(
        "operators/organizations/members.html",
        operator,
        organization,
        page=page,
        total=total,
        owners=owners,
    )


@blueprint.get("/activity")
@with_organization("console.view")
def activity(operator: Operator, organization: Organization) -> ResponseReturnValue:
    page = events_of(
        organization.id,
        before=number_argument("before", HIGHEST_SEQ),
        after=number_argument("after", HIGHEST_SEQ),
    )
    return render_page("operators/organizations/activity.html", operator, organization, page=page)


@blueprint.route("/notes", methods=["GET", "POST"])
@with_organization("console.view")
def show_notes(operator: Operator, organization: Organization) -> ResponseReturnValue:
    form = NoteForm()
    if form.is_submitted():
        operator.require("console.act")
    note = form.submit(lambda: notes.add_note(organization.id, form.text.data, operator.context))
    if note:
        return see_other(".show_notes", "The note is kept.", organization_id=organization.id)
    page = notes.notes_of(
        organization.id, before=_id_argument("before"), after=_id_argument("after")
    )
    return render_page(
        "operators/organizations/notes.html", operator, organization, form, page=page
    )


@blueprint.post("/notes/<note_id>/remove")
@with_organization("console.act")
def remove_note(
    operator: Operator, organization: Organization, note_id: str
) -> ResponseReturnValue:
    form = IdempotentForm()
    form.submit(
        lambda: notes.remove_note(organization.id, parse_object_id(note_id), operator.context)
    )
    return see_other(".show_notes", "The note is removed.", organization_id=organization.id)


@blueprint.route("/plan", methods=["GET", "POST"])
@with_organization("console.act")
def plan(operator: Operator, organization: Organization) -> ResponseReturnValue:
    form = PlanForm()
    if not form.is_submitted():
        form.show(organization)
    planned = form.submit_seen(
        lambda seen: planning.set_plan(organization.id, operator.context, seen, **form.changes)
    )
    if planned:
        words = f"Plan {planned.plan or 'none'}, region {planned.region or 'any'}."
        return see_other(".show", words, organization_id=organization.id)
    return render_page("operators/organizations/plan.html", operator, organization, form)


@blueprint.route("/metadata", methods=["GET", "POST"])
@with_organization("console.act")
def metadata(operator: Operator, organization: Organization) -> ResponseReturnValue:
    form = ExternalForm()
    if not form.is_submitted():
        form.show(organization)
    changed = form.submit_seen(
        lambda seen: external.set_external(organization.id, operator.context, seen, **form.changes)
    )
    if changed:
        return see_other(".show", "That is how others know it now.", organization_id=changed.id)
    return render_page("operators/organizations/metadata.html", operator, organization, form)


@blueprint.route("/owner", methods=["GET", "POST"])
@with_organization("console.act")
@reauthenticated
def owner(operator: Operator, organization: Organization) -> ResponseReturnValue:
    form = OwnerForm()
    made = form.submit(lambda: set_owner(organization.id, form.email.data or "", operator.context))
    if made:
        words = f"{isolated(form.email.data)} is an owner. All owners are told by mail."
        return see_other(".members", words, organization_id=organization.id)
    return render_page("operators/organizations/owner.html", operator, organization, form)


@blueprint.get("/preview")
@with_organization("console.act")
def preview(operator: Operator, organization: Organization) -> ResponseReturnValue:
    shown = _preview(request.args, organization)
    return render_template("organizations/preview.html", preview=shown, organization=organization)


@blueprint.route("/rename", methods=["GET", "POST"])
@with_organization("console.act")
def rename(operator: Operator, organization: Organization) -> ResponseReturnValue:
    return _name_page(operator, organization, PlannedAction.RENAME)


@blueprint.route("/restore", methods=["GET", "POST"])
@with_organization("console.act")
def restore(operator: Operator, organization: Organization) -> ResponseReturnValue:
    return _name_page(operator, organization, PlannedAction.RESTORE)


@blueprint.route("/trash", methods=["GET", "POST"])
@with_organization("console.act")
@reauthenticated
def trash(operator: Operator, organization: Organization) -> ResponseReturnValue:
    return _confirm_page(operator, organization, PlannedAction.TRASH)


@blueprint.route("/purge", methods=["GET", "POST"])
@with_organization("console.act")
@reauthenticated
def purge(operator: Operator, organization: Organization) -> ResponseReturnValue:
    return _confirm_page(operator, organization, PlannedAction.PURGE)


def _name_page(
    operator: Operator, organization: Organization, action: PlannedAction
) -> ResponseReturnValue:
    form = PlannedNameForm()
    done, outdated = _apply(
        operator,
        organization,
        action,
        form,
        lambda: {"typed_name": form.organization_name.data, "typed_slug": form.typed_slug},
    )
    if outdated:
        organization = find_organization(str(organization.id))
    if done:
        return _done(organization, action, done)
    if not form.is_submitted():
        form.organization_name.data = organization.name
        if organization.slug != slug_of(organization.name):
            form.slug.data = organization.slug
    plan = plan_action(organization, action)
    form.plan.data = plan.planned.dumps()
    return render_page(
        f"operators/organizations/{action}.html",
        operator,
        organization,
        form,
        plan=plan,
        outdated=outdated,
        preview=_preview(form.data, organization),
        old_slug_days=settings.current().old_slug_days,
    )


def _confirm_page(
    operator: Operator, organization: Organization, action: PlannedAction
) -> ResponseReturnValue:
    form = PlannedForm()
    done, outdated = _apply(
        operator, organization, action, form, lambda: {"confirm_name": form.confirm_name.data}
    )
    if outdated:
        organization = find_organization(str(organization.id))
        form.confirm_name.data = ""
    if done:
        return _done(organization, action, done)
    plan = plan_action(organization, action)
    form.plan.data = plan.planned.dumps()
    return render_page(
        "operators/organizations/confirm.html",
        operator,
        organization,
        form,
        plan=plan,
        outdated=outdated,
    )


def _apply(
    operator: Operator,
    organization: Organization,
    action: PlannedAction,
    form: PlannedForm | PlannedNameForm,
    typed: Callable[[], dict[str, Any]],
) -> tuple[Organization | None, PlanOutdated | None]:
    """The organization after the action, if it was applied as planned; else, where it isn't as
    planned any more, the difference."""
    try:
        done = form.submit(
            lambda: apply_action(
                organization, action, operator.context, plan=form.plan.data, **typed()
            )
        )
    except PlanOutdated as error:
        form.status = error.status
        return None, error
    return done, None


def _done(
    before: Organization, action: PlannedAction, organization: Organization
) -> ResponseReturnValue:
    name = isolated(organization.name)
    words = {
        PlannedAction.RENAME: f"{isolated(before.name)} is now {name}, at {organization.slug}.",
        PlannedAction.TRASH: f"{name} is in the trash. Its owners are told by mail.",
        PlannedAction.RESTORE: f"{name} is back, with all of its documents and members.",
        PlannedAction.PURGE: f"{name} and all of its documents are gone.",
    }[action]
    unfinished = "" if organization.operation else words
    return see_other(".show", unfinished, organization_id=organization.id)


def _id_argument(name: str) -> ObjectId | None:
    value = request.args.get(name, "")
    return ObjectId(value) if ObjectId.is_valid(value) else None


def _preview(typed: Mapping[str, str | None], organization: Organization) -> Preview:
    network = rate_limits.network_of(request.remote_addr)
    name, slug = typed.get("organization_name") or "", typed.get("slug") or ""
    renamed = organization if organization.state == OrganizationState.ACTIVE else None
    return preview_of(name, slug, network, None, renamed, organization.id)
