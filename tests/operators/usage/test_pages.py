"""Pages, calls and commands about what organizations use, and what they may."""

import json

import pytest

from portal import clock
from portal.database.connection import tenant_database
from portal.documents.accounts import OperatorRole
from portal.documents.figures import OrganizationFigures
from portal.documents.memberships import Role
from portal.documents.organizations import Organization, OwnLimits, Strategy
from portal.documents.pools import Pool
from portal.documents.usage import ClusterUsage
from portal.operators.usage import planning
from portal.operators.usage.forms import parse_limit, written
from portal.operators.usage.load import load_of
from portal.organizations.lifecycle.trashing import trash_organization
from portal.organizations.usage import limits
from portal.organizations.usage.errors import InvalidLimit
from portal.organizations.usage.limits import LimitKind
from tests.factories import a_context, a_member, an_organization, fresh
from tests.organizations.usage.conftest import Reporting, nothing_counted, roll_up, row  # noqa: F401


@pytest.fixture
def acme():
    return an_organization("Acme Corp")


def limits_form(desk, organization):
    page = f"/operator/organizations/{organization.id}/limits"
    return page, desk.get(page)


def test_nothing_counted_differs_from_nothing_used(desk, acme):
    assert "Nothing was counted yet." in desk.get("/operator/usage").text
    roll_up()
    page = desk.get("/operator/usage")
    assert "Nothing was done with documents in the last hour" in page.text


def test_the_loudest_are_listed_with_share_limit_and_the_way_to_set_one(desk, acme):
    verso = an_organization("Verso Books")
    limits.set_limits(verso, {LimitKind.OPERATIONS: 5000}, a_context())
    Reporting()(row(acme, operations=900, bytes_in=2048, slow=3), row(verso, operations=100))
    roll_up()
    page = desk.get("/operator/usage")
    names = [cell.get_text(strip=True) for cell in page.html.select(".loud tbody th")]
    assert names == ["Acme Corp", "Verso Books"]
    first, second = page.html.select(".loud tbody tr")
    assert "90 %" in first.get_text()
    assert "none" in first.get_text()
    assert "5,000 / s" in second.get_text()
    assert first.select_one("td a")["href"] == f"/operator/organizations/{acme.id}/limits"
    assert page.html.select("svg.chart desc")


def test_support_sees_and_does_not_set(desk_of, acme):
    desk = desk_of(OperatorRole.SUPPORT)
    Reporting()(row(acme, operations=900))
    roll_up()
    page = desk.get("/operator/usage")
    assert not page.html.select(".loud td a")
    assert desk.get(f"/operator/organizations/{acme.id}/usage").status == 200
    assert desk.get(f"/operator/organizations/{acme.id}/limits").status == 403


def test_limits_are_set_on_a_page(desk, acme):
    page, _ = limits_form(desk, acme)
    answer = desk.post(page, {"documents": "10,000", "bytes": "20 GB", "operations": ""})
    assert answer.status == 303
    assert fresh(acme).limits == OwnLimits(documents=10_000, bytes=20 * 10**9)
    shown = desk.get(page).html
    assert shown.select_one("#bytes")["value"] == "20 GB"
    assert "10,000" in desk.get(f"/operator/organizations/{acme.id}/usage").text


def test_a_limit_that_is_none_is_told_at_its_field(desk, acme):
    page, _ = limits_form(desk, acme)
    answer = desk.post(page, {"documents": "many"})
    assert answer.status == 422
    assert "Enter a whole number from 1 up" in answer.html.select_one("#documents-error").get_text()
    assert answer.html.select_one("#documents")["value"] == "many"


def test_whoever_saw_other_limits_is_refused(desk, acme):
    page, before = limits_form(desk, acme)
    limits.set_limits(acme, {LimitKind.DOCUMENTS: 5}, a_context())
    values = {each["name"]: each.get("value", "") for each in before.html.select("form input")}
    answer = desk.post(page, {**values, "documents": "6"})
    assert answer.status == 409
    assert fresh(acme).limits.documents == 5


def test_counting_anew_tells_what_it_found(desk, acme):
    page = f"/operator/organizations/{acme.id}/usage"
    answer = desk.post(f"/operator/organizations/{acme.id}/limits/count", form_at=page)
    assert answer.status == 303
    assert "Counted 0 documents of 0 Bytes. Nothing was known before." in desk.get(page).text


@pytest.fixture
def lost():
    """An organization in a pool whose record is gone."""
    organization = an_organization("Lost Ltd", strategy=Strategy.SHARED)
    Pool.objects.delete()
    return organization


def test_what_takes_too_long_to_count_is_as_it_was_last_measured(desk, admin):
    """Its cluster answers, and the page doesn't say otherwise."""
    large, at = an_organization("Large Ltd", strategy=Strategy.SHARED), clock.now()
    OrganizationFigures(
        id=large.id, documents=71, bytes=900, indexes=1, measured_at=at, used_at=at
    ).save()
    counted = f"{tenant_database().name}.{Pool.objects.get().collection}"
    expired = {"failCommands": ["aggregate"], "errorCode": 50, "namespace": counted}
    admin.admin.command("configureFailPoint", "failCommand", mode="alwaysOn", data=expired)
    try:
        page = desk.get(f"/operator/organizations/{large.id}/limits")
    finally:
        admin.admin.command("configureFailPoint", "failCommand", mode="off")
    told = page.html.select_one(".limits tbody tr").get_text(" ", strip=True)
    assert told.startswith("Documents 71 as of")
    assert "it can’t be measured now" in told


def test_an_organization_whose_pool_is_recorded_no_more_has_pages_that_say_so(desk, lost):
    own = f"/operator/organizations/{lost.id}"
    assert "The collection that it shares is not in the database any more" in desk.get(own).text
    for page in ("usage", "limits", "move"):
        answer = desk.get(f"{own}/{page}")
        assert answer.status == 200, page
    rows = desk.get(f"{own}/usage").html.select(".limits tbody tr")
    assert all("–" in row.get_text() for row in rows[:2])
    counting = desk.post(f"{own}/limits/count", form_at=f"{own}/usage")
    assert counting.status == 409
    refused = desk.post(f"{own}/limits", {"documents": "5"})
    assert refused.status == 409
    assert "The collection of Lost Ltd is not in the database any more" in refused.text
    assert fresh(lost).limits is None


def a_plan(organization, plan="team", **figures):
    """Have the organization be of this plan, with these figures as last measured."""
    Organization.objects(id=organization.id).update_one(set__plan=plan)
    if figures:
        now = clock.now()
        values = {"indexes": 1, "measured_at": now, "used_at": now, **figures}
        OrganizationFigures(id=organization.id, **values).save()


def test_limits_of_a_plan_are_told_first_then_set(desk, acme):
    a_plan(acme, documents=400, bytes=5)
    a_plan(an_organization("Kestrel"), documents=3, bytes=5)
    own = an_organization("Verdant Grocers")
    a_plan(own, documents=9000, bytes=5)
    limits.set_limits(own, {LimitKind.DOCUMENTS: 10_000}, a_context())
    a_plan(trash_organization(an_organization("Gone Ltd"), None, a_context()))
    typed = {"plan": "team", "documents": "100"}
    planned = desk.post("/operator/limits", typed)
    assert planned.status == 200
    told = {
        row.dt.get_text(): row.dd.get_text(" ", strip=True)
        for row in planned.html.select("#set .pairs > div")
    }
    assert told["Organizations with it"] == "3"
    assert told["Documents"] == "none → 100, for 2 without a limit of their own, 1 above it"
    assert limits.plans_with_limits() == []
    again = {**typed, **{name: planned.html.find(id=name)["value"] for name in ("planned", "seen")}}
    assert desk.post("/operator/limits", {**again, "documents": "101"}).status == 200
    assert desk.post("/operator/limits", again).status == 303
    assert limits.plans_with_limits()[0].limits.documents == 100


def test_limits_of_a_plan_that_others_changed_are_told_and_not_set(desk):
    typed = {"plan": "team", "documents": "100"}
    planned = desk.post("/operator/limits", typed)
    limits.set_plan_limits("team", {LimitKind.DOCUMENTS: 50}, a_context())
    again = {**typed, **{name: planned.html.find(id=name)["value"] for name in ("planned", "seen")}}
    refused = desk.post("/operator/limits", again)
    assert refused.status == 409
    assert "documents 50, and was none" in refused.text
    assert "50 → 100" in refused.text
    assert limits.plans_with_limits()[0].limits.documents == 50


def test_limits_of_a_plan_that_add_up_beyond_a_cluster_are_told(desk, acme):
    a_plan(acme)
    usage = {"operations": 3600 * 10}
    ClusterUsage(cluster="main", hour=clock.now(), total=usage, minutes={"0": usage}).save()
    page = desk.post("/operator/limits", {"plan": "team", "operations": "500"})
    told = page.html.select_one("#set .st.attention").get_text(" ", strip=True)
    assert "1 organization would allow 500 operations a second" in told


def test_of_a_large_plan_no_more_are_counted_than_are_told(acme, monkeypatch):
    monkeypatch.setattr(planning, "MOST_COUNTED", 1)
    for organization in (acme, an_organization("Kestrel"), an_organization("Verdant Grocers")):
        a_plan(organization)
    planned = planning.plan_limits("team", {LimitKind.DOCUMENTS: 5})
    assert (planned.organizations, planned.more) == (2, True)


def test_limits_of_plans_are_set_on_a_page(desk):
    typed = {"plan": "team", "operations": "500"}
    planned = desk.post("/operator/limits", typed).html.find(id="planned")["value"]
    assert desk.post("/operator/limits", {**typed, "planned": planned}).status == 303
    page = desk.get("/operator/limits?plan=team")
    assert "500 / s" in page.text
    assert page.html.select_one("#operations")["value"] == "500"
    assert desk.post("/operator/limits", {"plan": "No plan!", "operations": "5"}).status == 422


def test_members_see_what_their_organization_uses_and_whom_limits_do_not_reach(visitor):
    acme = an_organization("Acme Corp")
    a_member(acme, Role.VIEWER, "teo@acme.example")
    limits.set_limits(acme, {LimitKind.DOCUMENTS: 10}, a_context())
    Reporting()(row(acme, operations=600, waited=1500, refused=2))
    roll_up()
    visitor.log_in("teo@acme.example")
    for span in ("hour", "day", "month", "nonsense"):
        page = visitor.get(f"/organizations/acme-corp/usage?span={span}")
        assert page.status == 200
        facts = page.html.select_one(".facts").get_text(" ", strip=True)
        assert "Operations 600" in facts
        assert "Waited for its limit 1.5 s" in facts
        assert "2 refused" in facts
    assert "MongoDB users go past them" in page.text
    assert "Whoever runs this portal sets them." in page.text


def test_programs_of_operators_read_use_and_set_limits(program_of, acme):
    program = program_of()
    Reporting()(row(acme, operations=60))
    roll_up()
    found = program.get("/admin/usage").json
    assert found["organizations"][0]["counts"]["operations"] == 60
    used = program.get(f"/admin/organizations/{acme.id}/usage?span=hour").json["usage"]
    assert used["total"]["operations"] == 60
    assert {"since", "counts"} == used["points"][0].keys()
    path = f"/admin/organizations/{acme.id}/limits"
    answer = program.ask("PATCH", path, {"documents": 5, "operations": None})
    assert answer.status_code == 200
    assert answer.json["limits"][0] == {
        "kind": "documents", "allowed": 5, "used": 0.0, "by_plan": False, "measured_at": None
    }  # fmt: skip
    assert program.ask("PATCH", path, {"documents": 0}).status_code == 422
    assert program.ask("PATCH", path, {"documents": 1.5}).status_code == 422
    assert program.post(f"{path}/count", {}).json["now"] == {
        "documents": 0, "bytes": 0, "exact": True
    }  # fmt: skip
    a_plan(acme, documents=1, bytes=50)
    call = "/admin/plans/team/limits"
    dry = program.ask("PATCH", f"{call}?dry_run=true", {"bytes": 7}).json
    assert dry["plans"] is None
    assert dry["plan"]["changes"] == [
        {"kind": "bytes", "before": None, "after": 7, "organizations": 1, "above": 1}
    ]
    body = {"bytes": 7, "seen": dry["plan"]["seen"]}
    plans = program.ask("PATCH", call, body).json["plans"]
    assert plans == [{"plan": "team", "documents": None, "bytes": 7, "operations": None}]
    refused = program.ask("PATCH", call, {**body, "bytes": 8})
    assert (refused.status_code, refused.json["error"]["code"]) == (409, "limits_changed")


def test_commands_tell_and_set(command, acme):
    Reporting()(row(acme, operations=60))
    assert command("usage", "roll-up").returncode == 0
    loud = json.loads(command("usage", "loud", "--json").stdout)
    assert loud["organizations"][0]["slug"] == "acme-corp"
    assert "60" in command("usage", "show", "acme-corp", "--span", "hour").stdout
    set_ = command("limits", "set", "acme-corp", "--documents", "5", "--json")
    assert json.loads(set_.stdout)[0]["allowed"] == 5
    assert command("limits", "set", "acme-corp", "--documents", "0").returncode == 0
    assert not fresh(acme).limits
    assert command("limits", "set", "acme-corp", "--documents", "-1").returncode != 0
    assert "counted" in command("limits", "count", "acme-corp").stdout
    dry = command("limits", "set-plan", "team", "--bytes", "7", "--dry-run")
    assert "Nothing was changed" in dry.stdout
    assert limits.plans_with_limits() == []
    assert "team" in command("limits", "set-plan", "team", "--bytes", "7").stdout


@pytest.mark.parametrize(
    ("kind", "typed", "value"),
    [
        ("documents", "10,000", 10_000),
        ("documents", " 10 000 ", 10_000),
        ("documents", "", None),
        ("bytes", "20 GB", 20 * 10**9),
        ("bytes", "1.5tb", 1_500 * 10**9),
        ("bytes", "12", 12),
        ("operations", "500 / s", 500),
    ],
)
def test_a_limit_is_typed_as_people_write_it(kind, typed, value):
    assert parse_limit(LimitKind(kind), typed) == value
    if value is not None:
        assert parse_limit(LimitKind(kind), written(LimitKind(kind), value)) == value


@pytest.mark.parametrize(
    ("kind", "typed"),
    [
        ("documents", "10 GB"),
        ("documents", "1.5"),
        ("documents", "-1"),
        ("documents", "１０"),
        ("bytes", "0.5"),
        ("bytes", "GB"),
        ("bytes", "1e9"),
        ("operations", "9" * 31),
        ("documents", ","),
        ("bytes", "1" + "\t" * 60_000 + "!"),
    ],
    ids=lambda value: value[:40],
)
def test_what_is_no_limit_is_refused(kind, typed):
    with pytest.raises(InvalidLimit):
        parse_limit(LimitKind(kind), typed)


def test_the_limits_of_a_cluster_add_up_against_what_it_has_done(acme):
    verso = an_organization("Verso Books")
    limits.set_limits(acme, {LimitKind.OPERATIONS: 100}, a_context())
    limits.set_plan_limits("team", {LimitKind.OPERATIONS: 50}, a_context())
    verso.modify(set__plan="team")
    assert load_of("main") == load_of("main").__class__("main", 150, 2, None)
    Reporting()(row(acme, operations=36_000))
    roll_up()
    assert load_of("main").most == 10
    assert load_of("main").overcommitted
