"""A provisioning key signs organizations up for people, and does nothing else."""

from dataclasses import replace

import pytest
from bson import ObjectId

from portal import settings as portal_settings
from portal.audit.trail import ListedEvent
from portal.documents.accounts import Account
from portal.documents.api_keys import ProvisioningKey
from portal.documents.audit import AuditEvent
from portal.documents.memberships import Membership, Role
from portal.documents.organizations import Organization
from portal.documents.sessions import Session
from portal.identity.api_keys import credentials
from portal.web.rate_limits import _limiter
from tests.factories import an_organization
from tests.program import Program, fault
from tests.visitor import PASSWORD, Visitor

KEYED = {"headers": {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}}
SIGN_UP = {"organization_name": "Acme Corp", "email": "mara@acme.example", "password": PASSWORD}


@pytest.fixture
def sales(app):
    """The program that signs customers up."""
    return Program(app, credentials.create_provisioning_key("Sales"))


def run(app, *arguments):
    return app.test_cli_runner().invoke(args=["keys", *arguments])


def test_it_signs_a_person_up_who_owns_the_organization(app, sales):
    answer = sales.post("/org/create", SIGN_UP)
    assert answer.status_code == 201
    organization, account = Organization.objects.get(), Account.objects.get()
    assert Membership.objects.get(organization=organization.id).account == account.id
    assert Membership.objects.get().role == Role.OWNER
    assert len(Session.objects()) == 0
    mara = Visitor(app)
    assert mara.log_in().status == 303
    assert mara.get("/organizations/acme-corp").status == 200
    assert "by provisioning key “Sales”" in mara.get("/organizations/acme-corp").text


def test_the_organizations_first_event_names_it(sales):
    sales.post("/org/create", SIGN_UP)
    event = AuditEvent.objects.get(action="organization.created")
    key = ProvisioningKey.objects.get()
    assert (event.actor_kind, event.actor) == ("provisioning key", key.id)
    assert ListedEvent.of(event.to_mongo()).actor_shown == "provisioning key “Sales”"
    assert key.used_at


def test_it_needs_all_three_fields(sales):
    answer = sales.post("/org/create", {"organization_name": "Acme Corp"})
    assert fault(answer) == (422, "invalid_input", {"email", "password"})
    assert fault(sales.post("/org/create", {**SIGN_UP, "password": "short"}))[0] == 422
    assert len(Organization.objects()) == 0


@pytest.mark.attack("T1", "T3")
def test_it_reads_nothing(sales):
    organization = an_organization("Acme Corp")
    for answer in (
        sales.get("/auth/check"),
        sales.get("/org/acme-corp"),
        sales.get("/org/trash"),
        sales.get("/org/acme-corp/keys"),
        sales.put("/org/update/acme-corp", {"new_organization_name": "Other"}),
        sales.delete("/org/delete/acme-corp"),
        sales.post(f"/org/trash/{organization.id}/restore"),
        sales.post("/admin/login", {"email": "mara@acme.example", "password": PASSWORD}),
    ):
        assert fault(answer)[:2] == (403, "provisioning_only")


@pytest.mark.parametrize("lost", [False, True])
def test_a_repeated_call_signs_up_once(sales, master_db, lost):
    first = sales.post("/org/create", SIGN_UP, **KEYED)
    if lost:
        master_db.request_keys.update_many({}, {"$unset": {"answer": 1}})
    second = sales.post("/org/create", SIGN_UP, **KEYED)
    assert second.headers["Idempotency-Replayed"] == "true"
    assert second.json == first.json
    assert len(Organization.objects()) == 1


@pytest.mark.attack("T2")
def test_a_revoked_one_is_refused_at_once(sales):
    credentials.revoke_provisioning_key(str(ProvisioningKey.objects.get().id))
    assert fault(sales.post("/org/create", SIGN_UP)) == (401, "not_authenticated", set())


def test_its_limit_is_its_own(app, sales, settings):
    _limiter.cache_clear()
    limited = replace(settings, rate_limits=True, signup_limit=1, provisioning_limit=2)
    portal_settings.activate(limited)
    try:
        statuses = [
            sales.post(
                "/org/create",
                {**SIGN_UP, "organization_name": f"Number {n}", "email": f"m{n}@acme.example"},
            ).status_code
            for n in range(3)
        ]
        assert statuses == [201, 201, 429]
        assert Program(app).sign_up("Another", "other@acme.example").status_code == 201
        assert Program(app).sign_up("More", "more@acme.example").status_code == 429
    finally:
        portal_settings.activate(settings)


@pytest.mark.attack("S1")
def test_what_looks_like_one_is_none(app, sales):
    secret = sales.token.split("_", 2)[2]
    for typed in (
        f"pv_{ObjectId()}_{secret}",
        sales.token.replace("pv_", "pk_"),
        sales.token[:-1],
        "pv_",
    ):
        answer = Program(app, typed).post("/org/create", SIGN_UP)
        assert fault(answer) == (401, "not_authenticated", set())


@pytest.mark.attack("L1")
def test_commands_make_list_and_revoke(app, log, master_db):
    """Shown once, to who asked for it."""
    assert run(app, "list").output == "There are no provisioning keys.\n"
    made = run(app, "provision", "Sales")
    assert made.exit_code == 0
    credential = made.stdout.strip().splitlines()[-1]
    assert Program(app, credential).post("/org/create", SIGN_UP).status_code == 201
    key = ProvisioningKey.objects.get()
    listed = run(app, "list").output
    assert str(key.id) in listed
    assert "Sales" in listed
    assert "last used" in listed
    secret = credential.split("_", 2)[2]
    assert secret not in listed + log.text + str(list(master_db.provisioning_keys.find()))
    assert run(app, "revoke", str(key.id)).exit_code == 0
    assert Program(app, credential).post("/org/create", SIGN_UP).status_code == 401


@pytest.mark.parametrize(
    "arguments", [["provision", "x"], ["revoke", "no-id"], ["revoke", "0" * 24]]
)
def test_commands_tell_what_they_could_not_do(app, arguments):
    answer = run(app, *arguments)
    assert answer.exit_code == 2
    assert answer.output.startswith("Error: ")
    assert len(ProvisioningKey.objects()) == 0
