"""Pages of one organization."""

from collections.abc import Mapping

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
from portal.operators.organizations.acting import apply_action
from portal.operators.organizations.errors import PlanOutdated
from portal.operators.organizations.forms import PlannedForm, PlannedNameForm
from portal.operators.organizations.planning import PlannedAction, plan_action
from portal.operators.organizations.reading import figures_of
from portal.organizations import moves
from portal.organizations.directory import Preview, details_of, preview_of
from portal.organizations.lifecycle.names import slug_of
from portal.organizations.members import listing
from portal.web import rate_limits
from portal.web.forms import see_other
from portal.web.requests import number_argument, sort_key_argument

blueprint = Blueprint(
    "operator_organizations", __name__, url_prefix="/operator/organizations/<organization_id>"
)
install(blueprint, "operator_organizations.show")


@blueprint.get("")
@with_organization("console.view")
def show(operator: Operator, organization: Organization) -> ResponseReturnValue:
    return render_page(
        "operators/organizations/overview.html",
        operator,
        organization,
        figures=figures_of(organization),
        details=details_of(organization),
        moving=moves.shown_move(organization),
        trash_days=settings.current().trash_days,
    )


@blueprint.get("/members")
@with_organization("console.view")
def members(operator: Operator, organization: Organization) -> ResponseReturnValue:
    total, owners = listing.counts_of(organization.id)
    page = listing.members_of(
        organization.id,
        before=sort_key_argument("before", listing.MEMBER_KEY),
        after=sort_key_argument("after", listing.MEMBER_KEY),
    )
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
    form, outdated = PlannedNameForm(), None
    try:
        done = form.submit(
            lambda: apply_action(
                organization,
                action,
                operator.context,
                plan=form.plan.data,
                typed_name=form.organization_name.data,
                typed_slug=form.typed_slug,
            )
        )
    except PlanOutdated as error:
        done, outdated, form.status = None, error, error.status
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
    form, outdated = PlannedForm(), None
    try:
        done = form.submit(
            lambda: apply_action(
                organization,
                action,
                operator.context,
                plan=form.plan.data,
                confirm_name=form.confirm_name.data,
            )
        )
    except PlanOutdated as error:
        done, outdated, form.status = None, error, error.status
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


def _preview(typed: Mapping[str, str | None], organization: Organization) -> Preview:
    network = rate_limits.network_of(request.remote_addr)
    name, slug = typed.get("organization_name") or "", typed.get("slug") or ""
    renamed = organization if organization.state == OrganizationState.ACTIVE else None
    return preview_of(name, slug, network, None, renamed)
