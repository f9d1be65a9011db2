"""What members see of a move, and what owners may do about it."""

from datetime import timedelta

import pytest

from portal import clock
from portal.clusters import managing as clusters
from portal.clusters.managing import Changes
from portal.documents.accounts import Account
from portal.documents.memberships import Role
from portal.documents.moves import MoveState, Outcome
from portal.documents.organizations import Organization, Strategy
from portal.organizations.storage import tenant_of
from portal.placement import policies
from portal.web.context import RequestContext
from tests.factories import a_credential, a_member, an_organization, fresh
from tests.moving.records import a_move, a_way_back, moved
from tests.organizations.moving.carrying import begin, left_over, now, run_due_movers, run_movers

PLACE = "/organizations/acme-corp/placement"
HERE = f"{PLACE}/move"


@pytest.fixture
def acme(visitor):
    """Acme Corp, to its owner."""
    visitor.sign_up("Acme Corp", "mara@acme.example")
    return Organization.objects.get(slug="acme-corp")


def box_of(page):
    return page.html.select_one("#move").get_text(" ", strip=True)


def buttons_of(page):
    return [button.get_text(strip=True) for button in page.html.select("#move .actions .btn")]


def test_one_that_never_moved_has_no_page_of_a_move(acme, visitor):
    assert visitor.get(HERE).location == PLACE
    assert not visitor.get(PLACE).html.find("a", href=HERE)


@pytest.mark.parametrize(
    ("state", "told", "percent"),
    [
        (MoveState.COPYING, "Copying, 2,440 of about 4,000 documents 61 % 600 a second, about 2 seconds left.", "61"),
        (MoveState.VERIFYING, "Comparing, 1,000 of about 4,000 documents 25 %", "25"),
        (MoveState.READY, "Ready to switch The copy is equal, and is kept so.", "100"),
        (MoveState.FENCED, "Switching now Reads go on, and writes wait for it: none fails", None),
        (MoveState.ENDING, "Clearing up It was aborted", None),
    ],
)  # fmt: skip
def test_every_member_sees_how_far_it_is(acme, visitor, app, state, told, percent):
    a_move(acme, state, progress={"verified": 1000})
    visitor.log_out()
    visitor.log_in(a_member(acme, Role.VIEWER).email)
    page = visitor.get(HERE)
    assert box_of(page).startswith(told)
    assert page.html.select_one(".rail [aria-current=step] progress").get("value") == percent
    assert page.html.select_one("#move")["data-refresh"]
    assert buttons_of(page) == []
    assert "It is being moved" in visitor.get(PLACE).text


def test_more_documents_than_at_first_are_no_hundred_percent_and_no_time_left(acme, visitor):
    a_move(acme, progress={"copied": 6_500})
    page = visitor.get(HERE)
    assert box_of(page).startswith(
        "Copying, 6,500 documents, there were 4,000 at first 99 % 600 a second. "
    )


def test_a_ready_one_says_who_is_waited_for(acme, visitor):
    move = a_move(acme, MoveState.READY)
    assert "It switches when whoever runs this portal says so." in box_of(visitor.get(HERE))
    move.update(set__switch_in_hours=True)
    assert "It switches at an hour when few work." in box_of(visitor.get(HERE))


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"waits_for": "europe, which does not answer"}, "europe, which does not answer"),
        ({"waits_for": "another try: AutoReconnect('10.0.0.7')"}, "another try: the portal tries"),
        ({"waits_for": "a person, since Stopped: no room", "paused": True}, "whoever runs this"),
        ({"last_error": "AutoReconnect: 10.0.0.7 closed"}, "a moment: the portal tries again"),
        (
            {"waits_for": "owners, who have to make new strings of these MongoDB users: Weekly"},
            "owners, who have to make new strings of these MongoDB users: Weekly",
        ),
    ],
)
def test_what_does_not_get_on_says_why_without_what_only_operators_know(
    acme, visitor, fields, told
):
    a_move(acme, **fields)
    page = visitor.get(HERE)
    assert f"It waits for {told}" in box_of(page)
    for secret in ("10.0.0.7", "Stopped", "AutoReconnect"):
        assert secret not in page.text


def test_it_tells_what_changes_and_what_stays_the_same(acme, visitor):
    a_move(acme)
    rows = visitor.get(HERE).html.select(".changes tbody tr")
    told = [[cell.get_text(strip=True) for cell in row.find_all(["th", "td"])] for row in rows]
    assert told == [["Cluster", "main", "europe"]]


def test_a_copy_that_is_behind_its_source_says_by_how_much(acme, visitor):
    long_ago = clock.now() - timedelta(hours=3)
    a_move(acme, MoveState.READY, progress={"behind_seconds": 300, "changed_at": long_ago})
    told = box_of(visitor.get(HERE))
    assert "Behind by 5 minutes: 38 documents to come, last change 3 hours ago" in told


def test_the_way_back_says_until_when_and_what_it_costs(acme, visitor):
    a_way_back(acme)
    page = visitor.get(HERE)
    told = box_of(page)
    assert "The way back to a collection of its own on europe is open" in told
    assert "5 days left" in told
    assert "38 documents to come" in told
    assert "5.1 MB" in told
    assert "34 ms" in told
    assert buttons_of(page) == ["Go back…", "End the way back now…"]
    assert visitor.get(f"{HERE}/back").heading == "Go back to a collection of its own on europe?"
    assert "5.1 MB" in visitor.get(f"{HERE}/end").text
    assert "It can go back" in visitor.get(PLACE).text
    assert "Lived here and before" in visitor.get(PLACE).text


def test_owners_alone_go_back_or_end_it(acme, visitor):
    a_way_back(acme)
    visitor.log_out()
    visitor.log_in(a_member(acme, Role.ADMIN).email)
    assert buttons_of(visitor.get(HERE)) == []
    assert visitor.get(f"{HERE}/back").status == 403
    assert visitor.get(f"{HERE}/end").status == 403


def test_nobody_goes_back_to_a_cluster_that_is_being_emptied(acme, visitor):
    a_way_back(acme, drain="65a0")
    page = visitor.get(HERE)
    assert buttons_of(page) == ["End the way back now…"]
    refused = visitor.post(f"{HERE}/back")
    assert refused.status == 409
    assert "the cluster europe is being emptied" in refused.text


@pytest.mark.parametrize("verb", ["back", "end"])
def test_another_way_back_than_the_one_that_was_shown_is_left_alone(acme, visitor, verb):
    shown = a_way_back(acme)
    hidden = visitor.hidden(f"{HERE}/{verb}")
    shown.update(unset__open=True, set__state=MoveState.DONE, set__outcome=Outcome.LOST)
    other = now(a_way_back(acme))
    page = visitor.send(f"{HERE}/{verb}", hidden)
    assert page.status == 409
    assert f"({shown.id}) is lost." in page.text
    assert now(other).to_mongo() == other.to_mongo()


@pytest.mark.parametrize("outcome", Outcome)
def test_the_end_of_one_is_told(acme, visitor, outcome):
    moved(acme, acme.placement, outcome=outcome, reason="For a reason.")
    page = visitor.get(HERE)
    assert page.status == 200
    assert "For a reason." in box_of(page)
    assert "data-refresh" not in page.html.select_one("#move").attrs


def test_no_other_organization_sees_it(acme, visitor):
    a_move(acme)
    stranger = an_organization("Kestrel")
    visitor.log_out()
    visitor.log_in(a_member(stranger, Role.OWNER, "kit@kestrel.example").email)
    for below in ("", "/request", "/back", "/end"):
        assert visitor.get(f"{HERE}{below}").status == 404


@pytest.fixture
def offered(europe):
    """The region eu-central is offered to owners."""
    clusters.change_cluster("europe", Changes(region="eu-central"), RequestContext())
    offer = policies.DEFAULT.replace("# offered_regions", "offered_regions")
    policies.set_policy(offer, 0, {"main", "europe"}, RequestContext())


def test_an_owner_asks_for_a_region_and_withdraws_that(acme, visitor, offered):
    assert visitor.get(PLACE).html.find("a", string="Ask for a move…")["href"] == f"{HERE}/request"
    late = visitor.post(f"{HERE}/request", {"region": "eu-central", "day": "2020-01-01"})
    assert (late.status, late.fault("day")) == (422, "Choose a day that isn’t over")
    none = visitor.post(f"{HERE}/request", {"region": "us-east", "day": ""})
    assert none.status == 422
    Account.objects.update(time_zone="Pacific/Honolulu")  # a day of UTC begins on the day before
    day = (clock.now() + timedelta(days=9)).date()
    asked = visitor.post(f"{HERE}/request", {"region": "eu-central", "day": day.isoformat()})
    assert asked.location == HERE
    page = visitor.get(HERE)
    assert "Asked for: a collection of its own in eu-central" in box_of(page)
    assert f"Not before {day:%-d %B %Y}" in box_of(page)
    assert page.html.find("time", datetime=day.isoformat())  # which no script changes
    assert "A move is asked for" in visitor.get(PLACE).text
    assert "Ask for a move…" not in visitor.get(PLACE).text
    assert visitor.post(f"{HERE}/withdraw", form_at=HERE).location == HERE
    assert "The move was aborted" in box_of(visitor.get(HERE))
    assert "Ask for a move…" in visitor.get(PLACE).text
    assert visitor.post(f"{HERE}/withdraw", form_at=f"{HERE}/request").status == 409


def test_one_that_is_bound_to_a_region_has_no_choice(acme, visitor, offered):
    Organization.objects.update(region="eu-west")
    assert "It is bound to eu-west, and stays there." in visitor.get(PLACE).text
    assert "it is bound to eu-west" in visitor.get(f"{HERE}/request").text


def test_an_operator_declines_and_says_why(acme, visitor, offered, command):
    day = (clock.now() + timedelta(days=9)).date().isoformat()
    visitor.post(f"{HERE}/request", {"region": "eu-central", "day": day})
    assert "requested" in command("moves", "list").stdout
    declined = command("moves", "decline", "acme-corp", "--reason", "The contract says otherwise.")
    assert declined.returncode == 0, declined.stderr
    assert "The contract says otherwise." in box_of(visitor.get(HERE))


def test_an_owner_goes_back_with_all_that_was_written(acme, visitor):
    tenant_of(acme).insert_one({"_id": 1})
    begin(acme, Strategy.SHARED)
    run_movers()
    tenant_of(fresh(acme)).insert_one({"_id": 2})
    assert "The way back to a collection of its own on main is open" in box_of(visitor.get(HERE))
    assert visitor.post(f"{HERE}/back").location == HERE
    assert buttons_of(visitor.get(HERE)) == []
    run_due_movers()
    assert "It went back" in box_of(visitor.get(HERE))
    assert fresh(acme).placement.strategy == Strategy.COLLECTION
    assert tenant_of(fresh(acme)).count_documents({}) == 2
    assert "Went back from" in visitor.get("/organizations/acme-corp/activity").text


def test_an_owner_ends_the_way_back(acme, visitor, tenant_db):
    begin(acme, Strategy.SHARED)
    run_movers()
    assert visitor.post(f"{HERE}/end").location == HERE
    run_due_movers()
    assert "The way back has ended The old copy is deleted." in box_of(visitor.get(HERE))
    assert left_over(tenant_db) == []
    assert visitor.post(f"{HERE}/back", form_at="/organizations/acme-corp/rename").status == 409


def test_users_that_need_a_new_string_before_the_switch_are_told(acme, visitor, europe):
    a_credential(acme, name="Weekly report")
    begun = begin(fresh(acme), Strategy.COLLECTION, "europe")
    run_due_movers()
    page = visitor.get(HERE)
    assert "1 MongoDB user needs a new connection string" in page.text
    assert page.html.find("a", string="Make new strings")
    assert "owners, who have to make new strings of these MongoDB users" in box_of(page)
    assert now(begun).state == MoveState.READY
