"""Members and invitations for programs."""

import pytest
from bson import ObjectId

from portal.documents.accounts import Account
from portal.documents.audit import AuditEvent
from portal.documents.idempotency import IdempotencyRecord
from portal.documents.mails import Mail
from portal.documents.memberships import Invitation, Membership, Role
from portal.documents.organizations import Organization
from tests.api.test_idempotency import KEYED, same_answer
from tests.factories import a_member, an_account, an_invitation, an_organization
from tests.program import Program, fault

ACME = "/org/acme-corp"
INVITE = {"email": "lena@acme.example", "role": "viewer"}


@pytest.fixture
def join(owner):
    """Make somebody a member of Acme Corp."""
    return lambda email, role: a_member(Organization.objects.get(slug="acme-corp"), role, email)


@pytest.fixture
def teo(join):
    return join("teo@acme.example", Role.VIEWER)


@pytest.fixture
def as_(app):
    """A program that is logged in with an address."""

    def as_(email):
        program = Program(app)
        assert program.log_in(email).status_code == 200
        return program

    return as_


@pytest.fixture
def kestrels(owner):
    """A member and an invitation of another organization."""
    account = an_account("dispatch@kestrel.example")
    kestrel = an_organization("Kestrel", account)
    member = a_member(kestrel, Role.VIEWER, "teo@kestrel.example")
    return member.id, an_invitation(kestrel, account, "lena@kestrel.example").id


def test_members_are_listed_by_address(owner, teo):
    listed = owner.get(f"{ACME}/members").json["members"]
    assert [(m["email"], m["role"]) for m in listed] == [
        ("mara@acme.example", "owner"),
        ("teo@acme.example", "viewer"),
    ]
    assert listed[1]["id"] == str(teo.id)
    assert listed[1]["joined_at"].endswith("+00:00")


@pytest.mark.attack("T2")
def test_a_role_is_changed_and_a_member_removed(owner, teo):
    path = f"{ACME}/members/{teo.id}"
    answer = owner.put(path, {"role": "admin"})
    assert answer.status_code == 200
    assert (answer.json["member"]["email"], answer.json["member"]["role"]) == (teo.email, "admin")
    assert owner.delete(path).json == {"status": "success"}
    assert fault(owner.delete(path)) == (404, "not_found", set())
    assert [m["email"] for m in owner.get(f"{ACME}/members").json["members"]] == [
        "mara@acme.example"
    ]


@pytest.mark.attack("T2")
def test_a_token_obeys_the_new_state_at_once(owner, teo, as_):
    program = as_("teo@acme.example")
    assert program.post(f"{ACME}/invitations", INVITE).status_code == 403
    owner.put(f"{ACME}/members/{teo.id}", {"role": "admin"})
    assert program.post(f"{ACME}/invitations", INVITE).status_code == 201
    owner.delete(f"{ACME}/members/{teo.id}")
    assert program.get(f"{ACME}/members").status_code == 404


@pytest.mark.attack("Q1")
@pytest.mark.parametrize("role", ["owner", "", "Admin", None, 1, {"$ne": ""}, ["admin"]])
def test_no_other_role_can_be_given(owner, teo, role):
    for answer in (
        owner.put(f"{ACME}/members/{teo.id}", {"role": role}),
        owner.post(f"{ACME}/invitations", {**INVITE, "role": role}),
    ):
        assert fault(answer) == (422, "invalid_input", {"role"})
    assert Membership.objects.get(account=teo.id).role == Role.VIEWER


@pytest.mark.attack("T3")
def test_viewers_change_nobody_and_leave(teo, as_, join):
    program, other = as_("teo@acme.example"), join("pia@acme.example", Role.VIEWER)
    assert program.put(f"{ACME}/members/{other.id}", {"role": "admin"}).status_code == 403
    assert program.delete(f"{ACME}/members/{other.id}").status_code == 403
    assert program.get(f"{ACME}/invitations").status_code == 403
    assert program.delete(f"{ACME}/members/{teo.id}").status_code == 200
    assert program.get(ACME).status_code == 404


@pytest.mark.attack("T3")
def test_admins_leave_owners_alone(owner, join, as_):
    join("ann@acme.example", Role.ADMIN)
    mara = Account.objects.get(email="mara@acme.example")
    program = as_("ann@acme.example")
    assert program.put(f"{ACME}/members/{mara.id}", {"role": "viewer"}).status_code == 403
    assert program.delete(f"{ACME}/members/{mara.id}").status_code == 403
    assert Membership.objects.get(account=mara.id).role == Role.OWNER


@pytest.mark.attack("T4")
def test_the_last_owner_stays(owner):
    mara = Account.objects.get()
    path = f"{ACME}/members/{mara.id}"
    assert fault(owner.delete(path)) == (409, "last_owner", set())
    assert fault(owner.put(path, {"role": "viewer"})) == (409, "last_owner", set())


def test_an_invitation_is_sent_listed_sent_again_and_withdrawn(owner):
    answer = owner.post(f"{ACME}/invitations", INVITE)
    assert answer.status_code == 201
    sent = answer.json["invitation"]
    assert (sent["email"], sent["role"], sent["state"]) == ("lena@acme.example", "viewer", "open")
    assert sent["invited_by"] == "mara@acme.example"
    path = f"{ACME}/invitations/{sent['id']}"
    again = owner.post(f"{path}/resend", {"role": "admin"}).json["invitation"]
    assert (again["id"], again["role"]) == (sent["id"], "admin")
    assert owner.post(f"{path}/resend").json["invitation"]["role"] == "admin"
    assert owner.delete(path).json["invitation"]["state"] == "withdrawn"
    assert fault(owner.delete(path)) == (409, "invitation_closed", set())
    listed = owner.get(f"{ACME}/invitations").json["invitations"]
    assert [(i["id"], i["state"]) for i in listed] == [(sent["id"], "withdrawn")]


def test_who_is_a_member_or_invited_is_not_invited(owner, teo):
    owner.post(f"{ACME}/invitations", INVITE)
    assert fault(owner.post(f"{ACME}/invitations", INVITE)) == (409, "already_invited", {"email"})
    answer = owner.post(f"{ACME}/invitations", {**INVITE, "email": teo.email})
    assert fault(answer) == (409, "already_member", {"email"})


@pytest.mark.attack("T1")
def test_what_belongs_to_others_does_not_exist(owner, kestrels):
    before = [list(map(str, d.objects.as_pymongo())) for d in (Membership, Invitation)]
    member, invitation = kestrels
    for account_id in (member, ObjectId(), "x", "$ne", "%00"):
        path = f"{ACME}/members/{account_id}"
        assert fault(owner.put(path, {"role": "admin"})) == (404, "not_found", set())
        assert fault(owner.delete(path)) == (404, "not_found", set())
    for invitation_id in (invitation, ObjectId(), "x", "$ne", "%00"):
        path = f"{ACME}/invitations/{invitation_id}"
        assert fault(owner.post(f"{path}/resend")) == (404, "not_found", set())
        assert fault(owner.delete(path)) == (404, "not_found", set())
    for path in ("members", "invitations"):
        assert fault(owner.get(f"/org/kestrel/{path}")) == (404, "not_found", set())
    assert fault(owner.post("/org/kestrel/invitations", INVITE)) == (404, "not_found", set())
    assert [list(map(str, d.objects.as_pymongo())) for d in (Membership, Invitation)] == before


@pytest.mark.attack("N4")
def test_an_old_slug_leads_on_and_neither_creates_nor_deletes(owner, teo):
    owner.put("/org/update/acme-corp", {"new_organization_name": "Other"})
    answer = owner.get(f"{ACME}/members")
    assert answer.headers["Link"] == '<http://localhost/org/other/members>; rel="canonical"'
    changed = owner.put(f"{ACME}/members/{teo.id}", {"role": "admin"})
    assert (changed.status_code, "/org/other/members/" in changed.headers["Link"]) == (200, True)
    for refused in (owner.delete(f"{ACME}/members/{teo.id}"), owner.post(f"{ACME}/invitations", INVITE)):  # fmt: skip
        assert fault(refused)[:2] == (409, "organization_renamed")


CHANGES = [
    ("PUT", "members/{account}", {"role": "admin"}),
    ("DELETE", "members/{account}", None),
    ("POST", "invitations", INVITE),
    ("POST", "invitations/{invitation}/resend", {"role": "admin"}),
    ("DELETE", "invitations/{invitation}", None),
]


@pytest.fixture
def path_of(owner, teo):
    acme, mara = Organization.objects.get(), Account.objects.get(email="mara@acme.example")
    invitation = an_invitation(acme, mara, "open@acme.example")
    return lambda below: f"{ACME}/{below.format(account=teo.id, invitation=invitation.id)}"


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "made again"])
@pytest.mark.parametrize(("method", "below", "body"), CHANGES)
def test_every_change_may_be_repeated(owner, path_of, master_db, method, below, body, kept):
    first = owner.ask(method, path_of(below), body, **KEYED)
    assert first.status_code in (200, 201)
    told = len(AuditEvent.objects()), len(Mail.objects())
    if not kept:
        master_db.request_keys.update_many({}, {"$unset": {"answer": 1}})
    assert same_answer(first, owner.ask(method, path_of(below), body, **KEYED))
    assert (len(AuditEvent.objects()), len(Mail.objects())) == told
    assert len(IdempotencyRecord.objects()) == 1


@pytest.mark.parametrize(("method", "below", "body"), CHANGES)
def test_a_key_with_another_content_is_refused(owner, path_of, method, below, body):
    path = path_of(below)
    owner.ask(method, path, body, **KEYED)
    if body:
        other = {**body, "role": "viewer" if body["role"] == "admin" else "admin"}
        answer = owner.ask(method, path, other, **KEYED)
        assert fault(answer)[:2] == (422, "idempotency_key_reused")
