"""What operators do to an organization: told first, and done only as it was told."""

import pytest

from portal.audit.trail import events_of
from portal.documents.accounts import OperatorRole
from portal.documents.mails import Mail
from portal.documents.memberships import Role
from portal.documents.organizations import (
    Organization,
    OrganizationState,
    Slug,
    SlugState,
    Strategy,
)
from portal.operators.organizations.acting import apply_action
from portal.operators.organizations.errors import PlanOutdated, UnreadableActionPlan
from portal.operators.organizations.planning import PlannedAction, plan_action
from portal.organizations.access.errors import (
    NotInTrash,
    OrganizationPurged,
    OrganizationTrashed,
)
from portal.organizations.lifecycle.renaming import rename_organization
from portal.organizations.lifecycle.trashing import purge_organization, trash_organization
from portal.organizations.storage import tenant_of
from portal.web.context import OPERATOR, RequestContext
from tests.factories import a_context, a_key, a_member, an_organization, fresh

BY_OPERATOR = RequestContext(OPERATOR)


def path(organization, part=""):
    return f"/operator/organizations/{organization.id}{part}"


def state_of(organization):
    return Organization.objects.get(id=organization.id).state


def test_an_operator_renames_and_the_trail_says_by_the_operator(desk):
    organization = an_organization("Acme Corp")
    renamed = desk.post(path(organization, "/rename"), {"organization_name": "Verdant Grocers"})
    assert renamed.location == path(organization)
    assert fresh(organization).slug == "verdant-grocers"
    event = events_of(organization.id).rows[0]
    assert (event.action, event.actor_shown) == ("organization.renamed", "the operator")


def test_an_operator_renames_it_back(desk):
    """Of members an owner may, who gives up that it leads there."""
    organization = an_organization("Acme Corp")
    rename_organization(organization, "Verdant Grocers", BY_OPERATOR)
    back = path(organization, "/rename")
    preview = desk.get(path(organization, "/preview?organization_name=Acme+Corp&slug="))
    assert "taken" not in preview.text
    assert desk.post(back, {"organization_name": "Acme Corp"}).location == path(organization)
    assert fresh(organization).slug == "acme-corp"
    slugs = Slug.objects(organization=organization.id)
    assert {(slug.id, slug.state) for slug in slugs} == {
        ("acme-corp", SlugState.CURRENT),
        ("verdant-grocers", SlugState.OLD),
    }


def test_an_organization_goes_to_the_trash_and_comes_back(desk):
    organization = an_organization()
    assert "1 member without access" in desk.get(path(organization, "/trash")).text
    desk.post(path(organization, "/trash"), {"confirm_name": "Acme Corp"})
    assert state_of(organization) == OrganizationState.TRASHED
    assert Mail.objects(kind="organization_trashed").count() == 1
    desk.post(path(organization, "/restore"), {"organization_name": "Acme Corp"})
    assert state_of(organization) == OrganizationState.ACTIVE


def test_a_purge_is_confirmed_by_the_name(desk):
    organization = an_organization()
    refused = desk.post(path(organization, "/purge"), {"confirm_name": "Acme"})
    assert refused.status == 422
    assert refused.fault("confirm_name").startswith("Type “Acme Corp”")
    desk.post(path(organization, "/purge"), {"confirm_name": "Acme Corp"})
    assert state_of(organization) == OrganizationState.PURGED


@pytest.mark.parametrize("part", ["/rename", "/trash", "/restore", "/purge"])
def test_support_sees_and_does_not_act(desk_of, part):
    support = desk_of(OperatorRole.SUPPORT)
    assert support.get(path(an_organization(), part)).status == 403


@pytest.mark.attack("O7")
def test_what_was_not_shown_is_not_done(desk):
    organization = an_organization()
    hidden = desk.hidden(path(organization, "/trash"))
    a_member(organization, Role.VIEWER)
    answer = desk.send(path(organization, "/trash"), {**hidden, "confirm_name": "Acme Corp"})
    assert answer.status == 409
    assert "the number of members is 2, and was 1" in answer.text
    assert state_of(organization) == OrganizationState.ACTIVE
    again = {**hidden, "plan": answer.html.find(id="plan")["value"], "confirm_name": "Acme Corp"}
    assert desk.send(path(organization, "/trash"), again).status == 303
    assert state_of(organization) == OrganizationState.TRASHED


@pytest.mark.attack("O7")
def test_two_operators_on_one_organization_and_the_second_is_told(desk, desk_of):
    organization = an_organization()
    other = desk_of(email="second@portal.example")
    hidden = other.hidden(path(organization, "/purge"))
    desk.post(path(organization, "/trash"), {"confirm_name": "Acme Corp"})
    answer = other.send(path(organization, "/purge"), {**hidden, "confirm_name": "Acme Corp"})
    assert answer.status == 409
    assert "the state is trashed, and was active" in answer.text
    assert state_of(organization) == OrganizationState.TRASHED


def test_a_form_that_is_sent_twice_is_done_once(desk):
    organization = an_organization()
    fields = {**desk.hidden(path(organization, "/trash")), "confirm_name": "Acme Corp"}
    first, second = (desk.send(path(organization, "/trash"), fields) for _ in range(2))
    assert first.location == second.location == path(organization)


def test_a_plan_tells_whom_and_what_it_touches(app):
    organization = an_organization()
    tenant_of(organization).insert_many([{"n": n} for n in range(3)])
    for number in range(2):
        a_member(organization, Role.VIEWER, f"{number}@acme.example")
    a_key(organization)
    rename_organization(organization, "Verdant Grocers", a_context())
    plan = plan_action(fresh(organization), PlannedAction.TRASH)
    assert (plan.documents, plan.people, plan.keys, plan.redirects, plan.mails) == (3, 3, 1, 1, 1)
    assert plan_action(fresh(organization), PlannedAction.RENAME).people == 0


@pytest.mark.parametrize("strategy", Strategy)
@pytest.mark.parametrize("action", PlannedAction)
def test_each_action_is_done_as_planned_and_once(app, strategy, action):
    organization = an_organization(strategy=strategy)
    if action == PlannedAction.RESTORE:
        organization = trash_organization(organization, None, a_context())
    plan = plan_action(organization, action).planned.dumps()
    apply_action(organization, action, BY_OPERATOR, plan=plan, typed_name="Verdant Grocers")
    with pytest.raises((PlanOutdated, OrganizationTrashed, NotInTrash, OrganizationPurged)):
        apply_action(fresh(organization), action, BY_OPERATOR, plan=plan, typed_name="Another name")


@pytest.mark.attack("O7")
def test_a_plan_is_of_one_action_and_organization(app):
    one, other = an_organization(), an_organization("Kestrel")
    plan = plan_action(one, PlannedAction.TRASH).planned.dumps()
    for organization, action in ((other, PlannedAction.TRASH), (one, PlannedAction.PURGE)):
        with pytest.raises(UnreadableActionPlan):
            apply_action(organization, action, BY_OPERATOR, plan=plan)
    for text in ("x", "e30=", "bnVsbA==", "W10=", "é"):
        with pytest.raises(UnreadableActionPlan):
            apply_action(one, PlannedAction.TRASH, BY_OPERATOR, plan=text)


def test_many_more_documents_are_another_plan_of_a_purge(app):
    organization = an_organization()
    plan = plan_action(organization, PlannedAction.PURGE).planned.dumps()
    tenant_of(organization).insert_many([{"n": n} for n in range(1001)])
    with pytest.raises(PlanOutdated):
        apply_action(organization, PlannedAction.PURGE, BY_OPERATOR, plan=plan)
    assert tenant_of(organization).count_documents({}) == 1001


@pytest.mark.parametrize(
    ("action", "error"),
    [
        (PlannedAction.RENAME, OrganizationTrashed),
        (PlannedAction.TRASH, OrganizationTrashed),
    ],
)
def test_what_is_in_the_trash_is_not_planned_as_if_it_were_not(app, action, error):
    trashed = trash_organization(an_organization(), None, a_context())
    with pytest.raises(error):
        plan_action(trashed, action)


@pytest.mark.parametrize("action", PlannedAction)
def test_what_is_purged_stays_so(app, action):
    purged = purge_organization(an_organization(), None, a_context())
    with pytest.raises(OrganizationPurged):
        plan_action(purged, action)


def test_an_error_leads_back_into_the_console(desk):
    organization = trash_organization(an_organization(), None, a_context())
    answer = desk.get(path(organization, "/rename"))
    assert answer.status == 409
    assert answer.html.find("a", string="Back to the organization")["href"] == path(organization)
