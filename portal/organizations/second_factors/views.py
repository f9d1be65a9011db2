"""Pages by which owners require a second factor of an organization's members."""

from datetime import date, timedelta

from flask import Blueprint, flash, redirect, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from wtforms import BooleanField, StringField

from portal import clock
from portal.bidi import isolated
from portal.documents.organizations import Organization
from portal.identity.sessions.reauthentication import reauthenticated
from portal.organizations.access.guards import render_page, with_access
from portal.organizations.access.lookup import Access
from portal.organizations.second_factors import requiring
from portal.web.forms import DayInput, Form
from portal.web.requests import request_context

blueprint = Blueprint("second_factor_requirement", __name__)
_USUAL_NOTICE = timedelta(days=14)


class RequirementForm(Form):
    """Sets the first day of the requirement, or lifts it."""

    starts_on = StringField("From", default="", widget=DayInput())
    lift = BooleanField()


@blueprint.route("/organizations/<slug>/second-factor", methods=["GET", "POST"])
@with_access("organization.require_second_factor")
@reauthenticated
def show(access: Access) -> ResponseReturnValue:
    organization, form = access.organization, RequirementForm()
    if not form.is_submitted():
        begins = organization.second_factor_from or clock.now() + _USUAL_NOTICE
        form.starts_on.data = begins.date().isoformat()
    changed = form.submit(lambda: _change(organization, form))
    if changed:
        requires = "requires" if changed.second_factor_from else "no longer requires"
        flash(f"{isolated(changed.name)} {requires} a second factor of its members.", "ok")
        return redirect(url_for("organizations.show_settings", slug=changed.slug), 303)
    without, number = requiring.members_without_second_factor(organization.id)
    today = clock.now().date()
    return render_page(
        "second_factors/requirement.html",
        access,
        form,
        without=without,
        number=number,
        first=today,
        last=today + requiring.LONGEST_AHEAD,
    )


def _change(organization: Organization, form: RequirementForm) -> Organization:
    if form.lift.data:
        return requiring.lift_requirement(organization, request_context())
    try:
        starts_on = date.fromisoformat(form.starts_on.data)
    except ValueError:
        starts_on = None
    return requiring.require_second_factor(
        organization, starts_on, current_user.account_id, request_context()
    )
