"""The feed of audit events for programs."""

import pytest

from portal.documents.memberships import Role
from portal.documents.organizations import Organization
from portal.organizations.lifecycle.renaming import rename_organization
from tests.factories import a_context, a_member, an_organization, fresh
from tests.program import Program, fault


def renamed(times):
    organization = Organization.objects.get()
    for n in range(times):
        rename_organization(fresh(organization), "Acme CORP" if n % 2 else "ACME Corp", a_context())


def feed(program, query=""):
    return program.get(f"/org/acme-corp/audit{query}")


def test_events_come_oldest_first_and_the_answer_says_how_to_go_on(owner):
    renamed(6)
    first = feed(owner, "?limit=3").json
    assert first["status"] == "success"
    assert [event["seq"] for event in first["events"]] == [1, 2, 3]
    assert first["next"] == 3
    rest = feed(owner, f"?after={first['next']}").json
    assert [event["seq"] for event in rest["events"]] == [4, 5, 6, 7]
    assert rest["next"] == 7
    assert rest["head"] == {"seq": 7, "hash": rest["events"][-1]["hash"]}


def test_asked_again_with_nothing_new_it_stays_where_it_was(owner):
    assert feed(owner, "?after=1").json["next"] == 1
    assert feed(owner, "?after=900").json == {
        **feed(owner, "?after=900").json,
        "events": [],
        "next": 900,
    }
    renamed(1)
    assert [event["seq"] for event in feed(owner, "?after=1").json["events"]] == [2]


def test_a_hundred_come_unless_more_are_wanted_and_never_more_than_a_thousand(owner, master_db):
    [event] = master_db.audit_events.find({"action": "organization.created"})
    del event["_id"]
    master_db.audit_events.insert_many({**event, "seq": seq} for seq in range(2, 1103))
    master_db.organizations.update_one({}, {"$set": {"audit_head.seq": 1102}})
    assert len(feed(owner).json["events"]) == 100
    assert len(feed(owner, "?limit=1000").json["events"]) == 1000
    assert fault(feed(owner, "?limit=1001")) == (422, "invalid_input", {"limit"})


HOSTILE = [
    "after=-1", "after=x", "after=", "after=1e3", "after=1_0", "after=+1", "after=%201", "after=9" + "9" * 400,
    "after=9007199254740992", "after=%EF%BC%91", "after=%00", "limit=0", "limit=-5", "limit=null", "limit[$gt]=1",
    "before=1", "after=1&after=2", "after[]=1",
]  # fmt: skip


@pytest.mark.attack("Q1", "D3")
def test_a_hostile_query_is_refused(owner):
    for query in HOSTILE:
        assert feed(owner, f"?{query}").status_code == 422, query


@pytest.mark.attack("T1", "T3")
def test_admins_get_it_viewers_and_strangers_do_not(app):
    organization = an_organization("Acme Corp")
    seen = {}
    for role in (Role.ADMIN, Role.VIEWER):
        program = Program(app)
        program.log_in(a_member(organization, role, f"{role}@acme.example").email)
        seen[role] = feed(program).status_code
    stranger = Program(app)
    stranger.sign_up("Others")
    stranger.log_in()
    assert seen == {Role.ADMIN: 200, Role.VIEWER: 403}
    assert feed(stranger).status_code == 404
    assert feed(Program(app)).status_code == 401


def test_by_an_old_name_it_tells_the_current_one(owner):
    rename_organization(Organization.objects.get(), "Other", a_context())
    answer = feed(owner)
    assert answer.status_code == 200
    assert answer.headers["Link"] == '<http://localhost/org/other/audit>; rel="canonical"'


def test_it_takes_two_round_trips(owner, commands):
    renamed(3)
    commands.clear()
    feed(owner)
    assert len(commands) == 2, commands
