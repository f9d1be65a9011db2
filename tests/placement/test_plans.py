"""Plans and regions: set by whoever runs the portal, read by members."""

import pytest

from portal.audit.trail import ListedEvent
from portal.documents.audit import AuditEvent
from portal.documents.moves import Move, MoveState
from portal.documents.organizations import Organization
from portal.identity.api_keys import credentials
from portal.organizations.lifecycle.trashing import trash_organization
from tests.factories import a_context, an_organization
from tests.moving.records import a_move
from tests.program import Program, fault

PATH = "/org/acme-corp/plan"
KEYED = {"headers": {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}}


@pytest.fixture
def billing(app):
    """The program that knows what customers pay for."""
    return Program(app, credentials.create_provisioning_key("Billing"))


@pytest.fixture
def acme(app):
    return an_organization("Acme Corp")


def plan_and_region():
    organization = Organization.objects.get()
    return organization.plan, organization.region


def test_a_provisioning_key_sets_and_takes_away(billing, acme, main_in):
    main_in("eu-central")
    answer = billing.ask("PATCH", PATH, {"plan": "large", "region": "eu-central"})
    assert answer.status_code == 200
    told = {"id": str(acme.id), "slug": "acme-corp", "plan": "large", "region": "eu-central"}
    assert answer.json["organization"] == told
    assert plan_and_region() == ("large", "eu-central")
    billing.ask("PATCH", PATH, {"plan": None})
    assert plan_and_region() == (None, "eu-central")


def test_the_same_again_records_nothing(billing, acme):
    for _ in range(2):
        assert billing.ask("PATCH", PATH, {"plan": "large"}).status_code == 200
    event = AuditEvent.objects.get(action="organization.plan_set")
    assert event.details == {"plan": "large"}
    assert ListedEvent.of(event.to_mongo()).actor_shown == "provisioning key “Billing”"


def test_sent_twice_with_one_key_it_is_done_once(billing, acme):
    first = billing.ask("PATCH", PATH, {"plan": "large"}, **KEYED)
    billing.ask("PATCH", PATH, {"plan": "small"})
    again = billing.ask("PATCH", PATH, {"plan": "large"}, **KEYED)
    assert (again.status_code, again.json) == (first.status_code, first.json)
    assert plan_and_region() == ("small", None)


@pytest.mark.parametrize("field", ["plan", "region"])
def test_what_is_no_name_is_refused_at_its_field(billing, acme, field):
    for wrong in ("Large", "-", "large plan", "a" * 41, "", "large\n", "läuft"):
        refused = billing.ask("PATCH", PATH, {field: wrong})
        assert fault(refused) == (422, f"invalid_{field}", {field}), wrong
    assert plan_and_region() == (None, None)


def test_a_region_where_its_documents_are_not_is_refused(billing, acme, main_in):
    main_in("us-east")
    answer = billing.ask("PATCH", PATH, {"plan": "large", "region": "eu-central"})
    assert fault(answer)[:2] == (409, "outside_region")
    assert plan_and_region() == (None, None)


def test_a_region_where_a_copy_for_a_way_back_is_not_is_refused_until_that_ends(
    billing, acme, main_in, europe
):
    main_in("eu-central")
    a_move(acme, MoveState.SHADOW)
    refused = billing.ask("PATCH", PATH, {"region": "eu-central"})
    assert fault(refused)[:2] == (409, "copy_outside_region")
    assert "on the cluster europe" in refused.json["error"]["message"]
    assert plan_and_region() == (None, None)
    Move.objects.update(unset__open=True)
    assert billing.ask("PATCH", PATH, {"region": "eu-central"}).status_code == 200


def test_it_is_found_by_its_id_in_the_trash_too(billing, acme):
    trash_organization(acme, None, a_context())
    assert fault(billing.ask("PATCH", PATH, {"plan": "large"}))[0] == 404
    answer = billing.ask("PATCH", f"/org/by-id/{acme.id}/plan", {"plan": "large"})
    assert answer.status_code == 200


@pytest.mark.attack("T1")
def test_an_owner_may_read_both_and_set_neither(app):
    owner = Program(app)
    owner.sign_up()
    owner.log_in()
    assert fault(owner.ask("PATCH", PATH, {"plan": "large"}))[:2] == (403, "provisioning_required")
    Organization.objects.update(plan="small", region="eu-central")
    told = owner.get("/org/acme-corp").json["organization"]
    assert (told["plan"], told["region"]) == ("small", "eu-central")


def test_the_operator_sets_them_by_command(acme, command):
    assert command("organizations", "set", "acme-corp", "--plan", "large").returncode == 0
    assert plan_and_region() == ("large", None)
    assert command("organizations", "set", str(acme.id), "--plan", "").returncode == 0
    assert plan_and_region() == (None, None)
    refused = command("organizations", "set", "acme-corp", "--region", "eu-central")
    assert refused.returncode == 2
    assert "is not in" in refused.stderr
    assert AuditEvent.objects(action="organization.plan_set").count() == 2
