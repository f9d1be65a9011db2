"""The move of one organization in the console: planned, started as planned, watched, gone back on."""

import pytest

from portal.documents.accounts import OperatorRole
from portal.documents.moves import Move, MoveState, Outcome
from portal.organizations.storage import tenant_of
from tests.factories import an_organization
from tests.moving.records import a_move, a_way_back
from tests.program import fault

INTO_ITS_OWN_DATABASE = "/new?strategy=database&cluster=main"


@pytest.fixture
def acme(app):
    organization = an_organization("Acme Corp")
    tenant_of(organization).insert_many([{"n": n} for n in range(3)])
    return organization


def path(organization, part=""):
    return f"/operator/organizations/{organization.id}/move{part}"


def test_it_is_planned_and_starts_as_planned(desk, acme):
    planned = desk.get(path(acme, INTO_ITS_OWN_DATABASE))
    assert "a database of its own" in planned.text
    assert planned.html.select_one(".facts .figure").get_text() == "3"
    assert Move.objects.count() == 0
    started = desk.post(path(acme, INTO_ITS_OWN_DATABASE), {"switch": "verified"})
    assert started.location == path(acme)
    move = Move.objects.get()
    assert (move.state, move.target.strategy) == (MoveState.COPYING, "database")
    assert "Copying" in desk.get(path(acme)).text
    assert "Copying" in desk.get(f"/operator/organizations/{acme.id}").text


def test_what_changed_since_the_plan_is_told_and_nothing_starts(desk, acme):
    hidden = desk.hidden(path(acme, INTO_ITS_OWN_DATABASE))
    tenant_of(acme).create_index("n", name="by_n")
    answer = desk.send(path(acme, INTO_ITS_OWN_DATABASE), {**hidden, "switch": "verified"})
    assert answer.status == 409
    assert "the number of indexes is" in answer.text
    assert Move.objects.count() == 0


def test_no_plan_is_made_of_a_collection_that_somebody_dropped(desk, program_of, acme, tenant_db):
    tenant_db.drop_collection(acme.placement.collection)
    page = desk.get(path(acme, INTO_ITS_OWN_DATABASE))
    assert page.status == 409
    assert "not in the database any more" in page.text
    call, wish = f"/admin/organizations/{acme.id}/move", {"strategy": "database", "cluster": "main"}
    program = program_of()
    for asked in (f"{call}?dry_run=true", call):
        assert fault(program.post(asked, wish))[:2] == (409, "collection_missing")


def test_a_cluster_that_the_portal_does_not_know_is_refused(desk, program_of, acme):
    page = desk.get(path(acme, "/new?strategy=database&cluster=elsewhere"))
    assert page.status == 422
    assert "No cluster is called" in page.text
    call = f"/admin/organizations/{acme.id}/move"
    wish, program = {"strategy": "database", "cluster": "elsewhere"}, program_of()
    for asked in (f"{call}?dry_run=true", call):
        assert fault(program.post(asked, wish))[:2] == (422, "invalid_cluster")


def test_what_speaks_against_it_is_told(desk, acme):
    page = desk.get(path(acme, "/new?strategy=collection&cluster=main"))
    assert "It already has a collection of its own on main" in page.text
    assert page.html.find("button", string="Start the move") is None


@pytest.mark.parametrize(
    ("verb", "field", "value"),
    [
        ("pause", "paused", True),
        ("switch", "switch_wanted", True),
        ("abort", "outcome", Outcome.ABORTED),
    ],
)
def test_it_is_paused_switched_and_aborted(desk, acme, verb, field, value):
    move = a_move(acme)
    assert desk.post(path(acme, f"/{verb}"), form_at=path(acme)).location == path(acme)
    assert Move.objects.get(id=move.id)[field] == value


def test_it_is_gone_back_on(desk, acme):
    way_back = a_way_back(acme)
    desk.post(path(acme, "/back"), form_at=path(acme))
    assert Move.objects.get(id=way_back.id).switch_wanted


def test_support_looks_on(desk_of, acme):
    a_move(acme)
    support = desk_of(OperatorRole.SUPPORT)
    page = support.get(path(acme))
    assert page.status == 200
    assert page.html.find("button", string="Pause") is None
    assert support.get(path(acme, INTO_ITS_OWN_DATABASE)).status == 403


def test_a_dry_run_tells_what_the_page_tells(program_of, acme):
    program, call = program_of(), f"/admin/organizations/{acme.id}/move"
    wish = {"strategy": "database", "cluster": "main"}
    plan = program.post(f"{call}?dry_run=true", wish).json["plan"]
    assert (plan["documents"], plan["obstacles"]) == (3, [])
    assert Move.objects.count() == 0
    told = program.post(call, {**wish, "plan": plan["plan"]}).json["move"]
    assert told["state"] == "copying"
    assert program.post(f"{call}/pause").json["move"]["paused"]
