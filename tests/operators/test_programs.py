"""What operators' programs and commands do to one organization: the same as its pages."""

import json

import pytest

from portal import clock
from portal.audit.trail import events_of
from portal.documents.accounts import OperatorRole
from portal.documents.memberships import Role
from portal.documents.organization_notes import OrganizationNote
from portal.documents.organizations import Organization, OrganizationState
from portal.organizations.lifecycle.trashing import purge_organization, trash_organization
from tests.factories import a_context, a_member, an_account, an_organization, fresh
from tests.program import fault


def path(organization, part=""):
    return f"/admin/organizations/{organization.id}{part}"


def state_of(organization):
    return Organization.objects.get(id=organization.id).state


@pytest.fixture
def program(program_of):
    return program_of()


@pytest.fixture
def acme(app):
    return an_organization("Acme Corp")


def test_all_of_one_but_its_documents_is_told(program, acme):
    a_member(acme, Role.VIEWER)
    told = program.get(path(acme)).json["organization"]
    assert (told["slug"], told["state"], told["members"]) == ("acme-corp", "active", 2)
    assert [owner["email"] for owner in told["owners"]] == [acme_owner(acme)]
    assert told["uuid"] == str(acme.placement.uuid)


def acme_owner(acme):
    return events_of(acme.id).rows[-1].actor_email


def test_a_dry_run_tells_and_does_nothing_and_its_plan_is_applied(program, acme):
    dry = program.post(path(acme, "/trash?dry_run=true"), {})
    assert dry.json["organization"] is None
    plan = dry.json["plan"]
    assert (plan["action"], plan["people"], plan["mails"]) == ("trash", 1, 1)
    assert state_of(acme) == OrganizationState.ACTIVE
    a_member(acme, Role.VIEWER)
    refused = program.post(path(acme, "/trash"), {"plan": plan["plan"]})
    assert fault(refused)[:2] == (409, "plan_outdated")
    assert "the number of members is 2, and was 1" in refused.json["error"]["message"]
    assert program.post(path(acme, "/trash"), {}).json["organization"]["state"] == "trashed"


def test_page_api_and_command_tell_the_same_plan(program, desk, command, acme):
    told = program.post(path(acme, "/purge?dry_run=true"), {}).json["plan"]
    printed = command("organizations", "purge", "acme-corp", "--dry-run", "--json").stdout
    by_command = json.loads(printed)
    for name in set(told) - {"at"}:
        assert by_command[name] == told[name]
    shown = desk.get(f"/operator/organizations/{acme.id}/purge").text
    for effect in told["effects"]:
        assert effect["words"] in shown


def test_everything_is_done_by_the_api(program, acme):
    renamed = program.put(path(acme, "/name"), {"organization_name": "Kestrel Freight"})
    assert renamed.json["organization"]["slug"] == "kestrel-freight"
    assert renamed.json["organization"]["earlier_slugs"] == ["acme-corp"]
    assert program.ask("PATCH", path(acme, "/plan"), {"plan": "large"}).status_code == 200
    known = program.ask("PATCH", path(acme, "/external"), {"external_id": "cus_1"})
    assert known.json["organization"]["external_id"] == "cus_1"
    an_account("teo@acme.example")
    owned = program.post(path(acme, "/owners"), {"email": "teo@acme.example"})
    assert "teo@acme.example" in [one["email"] for one in owned.json["organization"]["owners"]]
    program.post(path(acme, "/trash"), {})
    program.post(path(acme, "/restore"), {})
    assert state_of(acme) == OrganizationState.ACTIVE
    program.post(path(acme, "/purge"), {})
    assert state_of(acme) == OrganizationState.PURGED
    done_by = {event.actor_shown for event in events_of(acme.id).rows[:-1]}
    assert done_by == {"the operator"}


@pytest.mark.parametrize(
    ("email", "code"),
    [
        ("nobody@acme.example", "unknown_address"),
        ("new@acme.example", "unverified_address"),
        ("not an address", "invalid_email"),
        ("blocked@acme.example", "blocked_owner"),
        ("program@portal.example", "owner_is_operator"),  # who would read documents unasked
    ],
)
def test_only_who_can_act_becomes_an_owner_and_no_operator(program, acme, email, code):
    an_account("new@acme.example", verified=False)
    an_account("blocked@acme.example").update(set__blocked_at=clock.now())
    assert fault(program.post(path(acme, "/owners"), {"email": email}))[1] == code


@pytest.mark.parametrize("part", ["/trash", "/purge", "/restore", "/notes", "/owners"])
def test_everybody_else_is_told_that_there_is_nothing(owner_of, acme, part):
    """Whatever they send: that it is well-formed is nothing to learn."""
    for body in ({}, {"wrong": 1}):
        assert owner_of(acme).post(path(acme, part), body).status_code == 404


@pytest.mark.parametrize("part", ["/trash", "/purge", "/notes", "/owners"])
def test_support_is_refused(program_of, acme, part):
    support = program_of(OperatorRole.SUPPORT, "support@portal.example")
    assert fault(support.post(path(acme, part), {}))[:2] == (403, "operator_forbidden")


def test_notes_are_kept_listed_and_removed(program, desk, acme):
    for number in range(27):
        program.post(path(acme, "/notes"), {"text": f"Call {number}\nagreed a move"})
    page = program.get(path(acme, "/notes")).json
    assert [len(page["notes"]), page["notes"][0]["author"]] == [25, "program@portal.example"]
    rest = program.get(path(acme, f"/notes?after={page['after']}")).json
    assert [note["text"] for note in rest["notes"]] == [f"Call {n}\nagreed a move" for n in (1, 0)]
    program.delete(path(acme, f"/notes/{page['notes'][0]['id']}"))
    assert OrganizationNote.objects.count() == 26
    assert "Call 25" in desk.get(f"/operator/organizations/{acme.id}").text


@pytest.mark.parametrize("text", ["", "  \n ", "x" * 4001, "a\x00b", "a\x1b[31mb", "a\u200db"])
def test_a_note_has_words(program, acme, text):
    assert fault(program.post(path(acme, "/notes"), {"text": text}))[1] == "invalid_note"


def test_notes_and_metadata_have_joiners_where_writing_has_them(program, acme):
    text = "👩‍💻 می‌شود\n\tශ්‍රී ලංකා"
    program.post(path(acme, "/notes"), {"text": text})
    assert OrganizationNote.objects.get().text == text
    program.ask("PATCH", path(acme, "/external"), {"metadata": {"rep": "فاطمه‌زهرا"}})
    assert dict(fresh(acme).metadata) == {"rep": "فاطمه‌زهرا"}


def test_members_see_no_note(desk, visitor, acme):
    a_member(acme, Role.OWNER, "teo@acme.example")
    desk.post(f"/operator/organizations/{acme.id}/notes", {"text": "Pays late: canary-4711"})
    assert "canary-4711" in desk.get(f"/operator/organizations/{acme.id}/notes").text
    visitor.log_in("teo@acme.example")
    for page in ("/organizations/acme-corp", "/organizations/acme-corp/activity"):
        assert "canary-4711" not in visitor.get(page).text


def test_a_purge_takes_the_notes(program, acme):
    program.post(path(acme, "/notes"), {"text": "Called."})
    purge_organization(fresh(acme), None, a_context())
    assert OrganizationNote.objects.count() == 0


def test_metadata_on_the_page_leaves_alone_what_came_meanwhile(desk, program, acme):
    page = f"/operator/organizations/{acme.id}/metadata"
    program.ask("PATCH", path(acme, "/external"), {"metadata": {"crm": "A", "tier": "2"}})
    hidden = desk.hidden(page)
    program.ask("PATCH", path(acme, "/external"), {"metadata": {"rep": "Jo"}})
    desk.send(page, {**hidden, "external_id": "cus_1", "metadata": "crm: B\r\n"})
    known = fresh(acme)
    assert (known.external_id, dict(known.metadata)) == ("cus_1", {"crm": "B", "rep": "Jo"})


def test_a_form_that_was_opened_before_takes_nothing_away(desk, program, acme):
    """A value that nobody changed in it stays, whatever it has become."""
    here = f"/operator/organizations/{acme.id}"
    program.ask("PATCH", path(acme, "/external"), {"metadata": {"crm": "A", "tier": "2"}})
    plan, metadata = desk.hidden(f"{here}/plan"), desk.hidden(f"{here}/metadata")
    Organization.objects(id=acme.id).update_one(set__region="eu")
    changed = {"external_id": "cus_1", "metadata": {"crm": "B"}}
    program.ask("PATCH", path(acme, "/external"), changed)
    saved = desk.send(f"{here}/plan", {**plan, "plan": "large", "region": ""})
    assert saved.status == 303
    typed = {"external_id": "", "metadata": "crm: A\r\ntier: 3\r\n"}
    assert desk.send(f"{here}/metadata", {**metadata, **typed}).status == 303
    known = fresh(acme)
    assert (known.plan, known.region, known.external_id) == ("large", "eu", "cus_1")
    assert dict(known.metadata) == {"crm": "B", "tier": "3"}


@pytest.mark.parametrize(
    ("part", "others", "typed", "field", "now"),
    [
        ("plan", {"plan": "team"}, {"plan": "large"}, "plan", "team"),
        ("metadata", {"external_id": "cus_1"}, {"external_id": "c"}, "external_id", "cus_1"),
        ("metadata", {"metadata": {"crm": "B"}}, {"metadata": "crm: C"}, "metadata", "crm"),
    ],
    ids=["plan", "external id", "an entry"],
)
def test_of_two_who_change_the_same_the_second_is_told_and_decides(
    desk, program, acme, part, others, typed, field, now
):
    page = f"/operator/organizations/{acme.id}/{part}"
    call = path(acme, "/plan" if part == "plan" else "/external")
    hidden = desk.hidden(page)
    assert program.ask("PATCH", call, others).status_code == 200
    shown = {"plan": "", "region": ""} if part == "plan" else {"external_id": "", "metadata": ""}
    before = fresh(acme).version, fresh(acme).audit_head.seq
    told = desk.send(page, {**hidden, **shown, **typed})
    assert told.status == 409
    assert now in told.fault(field)
    assert (fresh(acme).version, fresh(acme).audit_head.seq) == before
    again = {**hidden, **shown, **typed, "seen": told.html.find(id="seen")["value"]}
    assert desk.send(page, again).status == 303
    stored = {"metadata": {"crm": "C"}} if field == "metadata" else typed
    assert fresh(acme).to_mongo()[field] == stored[field]


@pytest.mark.parametrize("seen", ["", "x", "[]", '{"plan": 1}', '{"x": "y"}', "[" * 9999])
def test_a_form_that_carries_nothing_readable_is_carried_out_as_typed(desk, acme, seen):
    page = f"/operator/organizations/{acme.id}"
    for part, typed in (("plan", {"plan": "large"}), ("metadata", {"metadata": "crm: A"})):
        assert desk.post(f"{page}/{part}", {**typed, "seen": seen}).status == 303
    assert (fresh(acme).plan, dict(fresh(acme).metadata)) == ("large", {"crm": "A"})


@pytest.mark.parametrize("typed", ["no colon", "a: 1\na: 2", "a.b: 1", "a:"])
def test_a_wrong_line_of_metadata_is_told_at_the_field(desk, acme, typed):
    page = f"/operator/organizations/{acme.id}/metadata"
    answer = desk.post(page, {"external_id": "", "metadata": typed})
    assert answer.status == 422
    assert answer.html.find(id="metadata").get_text().strip() == typed


def test_plan_and_owner_on_pages(desk, acme):
    page = f"/operator/organizations/{acme.id}"
    assert desk.post(f"{page}/plan", {"plan": "large", "region": ""}).location == page
    assert fresh(acme).plan == "large"
    assert desk.post(f"{page}/plan", {"plan": "Large!"}).fault("plan").startswith("Name the plan")
    an_account("teo@acme.example")
    wrong = desk.post(f"{page}/owner", {"email": "no@acme.example"})
    assert "No account has the address" in wrong.fault("email")
    own = desk.post(f"{page}/owner", {"email": "ops@portal.example"})
    assert "Ask for support access" in own.fault("email")
    assert desk.post(f"{page}/owner", {"email": "teo@acme.example"}).location == f"{page}/members"


def test_commands_do_the_same(command, acme):
    assert "acme-corp" in command("organizations", "show", "acme-corp").stdout
    dry = command("organizations", "rename", "acme-corp", "Kestrel", "--dry-run").stdout
    assert "acme-corp → kestrel" in dry
    assert fresh(acme).name == "Acme Corp"
    command("organizations", "rename", "acme-corp", "Kestrel", "--yes")
    noted = command("organizations", "note", "kestrel", "Called.", "--json").stdout
    command("organizations", "remove-note", "kestrel", json.loads(noted)["id"])
    assert OrganizationNote.objects.count() == 0
    told = command(
        "organizations", "metadata", "kestrel", "--external-id", "c1", "--set", "a=b", "--json"
    )
    assert json.loads(told.stdout)["metadata"] == {"a": "b"}
    trashed = command("organizations", "trash", "kestrel", "--yes", "--json")
    assert json.loads(trashed.stdout)["state"] == "trashed"
    command("organizations", "restore", str(acme.id), "--yes")
    assert command("organizations", "purge", "kestrel").returncode == 1  # nobody said yes
    command("organizations", "purge", "kestrel", "--yes")
    assert state_of(acme) == OrganizationState.PURGED
    assert "purged" in command("organizations", "show", str(acme.id)).stdout


def test_a_command_refuses_in_words(command, acme):
    trash_organization(acme, None, a_context())
    refused = command("organizations", "rename", str(acme.id), "Kestrel", "--yes")
    assert refused.returncode == 2
    assert "in the trash" in refused.stderr or "deleted meanwhile" in refused.stderr
