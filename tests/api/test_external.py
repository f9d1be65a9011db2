"""What other systems know an organization by: set by whoever runs the portal, once each."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from portal.documents.audit import AuditEvent
from portal.documents.organizations import Organization
from portal.identity.api_keys import credentials
from portal.organizations.external import set_external
from portal.organizations.lifecycle.errors import ExternalIdTaken
from portal.organizations.lifecycle.trashing import purge_organization, trash_organization
from tests.factories import a_context, an_organization, fresh
from tests.program import Program, fault
from tests.visitor import PASSWORD

PATH = "/org/acme-corp/external"
BODY = {"organization_name": "Acme Corp", "email": "mara@acme.example", "password": PASSWORD}


@pytest.fixture
def billing(app):
    return Program(app, credentials.create_provisioning_key("Billing"))


def known_by(organization):
    return fresh(organization).external_id, dict(fresh(organization).metadata or {})


def test_a_sign_up_brings_both(billing):
    body = {**BODY, "external_id": "cus_1", "metadata": {"crm": "A-4711"}}
    assert billing.post("/org/create", body).status_code == 201
    assert known_by(Organization.objects.get()) == ("cus_1", {"crm": "A-4711"})


def test_strangers_claim_no_external_id(program):
    answer = program.post("/org/create", {**BODY, "external_id": "cus_1"})
    assert answer.status_code == 422
    assert "Leave it out" in answer.json["error"]["fields"]["external_id"]


def test_a_taken_one_leaves_nothing_behind(billing):
    set_external(an_organization("Kestrel").id, a_context(), external_id="cus_1")
    answer = billing.post("/org/create", {**BODY, "external_id": "cus_1"})
    assert fault(answer) == (409, "external_id_taken", {"external_id"})
    assert Organization.objects(name="Acme Corp").count() == 0
    assert billing.post("/org/create", {**BODY, "external_id": "cus_2"}).status_code == 201


def test_entries_are_set_and_taken_away_one_by_one(billing):
    acme = an_organization("Acme Corp")
    billing.ask("PATCH", PATH, {"external_id": "cus_1", "metadata": {"crm": "A", "tier": "2"}})
    answer = billing.ask("PATCH", PATH, {"metadata": {"crm": None, "rep": "Jo"}})
    assert answer.json["organization"] == {
        "id": str(acme.id),
        "slug": "acme-corp",
        "external_id": "cus_1",
        "metadata": {"tier": "2", "rep": "Jo"},
    }
    event = AuditEvent.objects(action="organization.external_set").order_by("-seq").first()
    assert event.details == {"fields": "metadata.crm, metadata.rep"}


def test_the_same_again_records_nothing(billing):
    an_organization("Acme Corp")
    for _ in range(2):
        billing.ask("PATCH", PATH, {"external_id": "cus_1", "metadata": {"crm": "A"}})
    assert AuditEvent.objects(action="organization.external_set").count() == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"external_id": ""},
        {"external_id": " cus_1"},
        {"external_id": "cus\n1"},
        {"external_id": "x" * 129},
        {"external_id": {"$ne": 1}},
        {"metadata": {"a.b": "1"}},
        {"metadata": {"$where": "1"}},
        {"metadata": {"": "1"}},
        {"metadata": {"a": ""}},
        {"metadata": {"a": "x" * 501}},
        {"metadata": {"a": 1}},
        {"metadata": {"a": "one\ntwo"}},
        {"metadata": {f"k{n}": "v" for n in range(21)}},
    ],
)
def test_what_breaks_a_rule_changes_nothing(billing, wrong):
    acme = an_organization("Acme Corp")
    assert billing.ask("PATCH", PATH, wrong).status_code == 422
    assert known_by(acme) == (None, {})


def test_case_counts(billing):
    an_organization("Acme Corp")
    set_external(an_organization("Kestrel").id, a_context(), external_id="CUS_1")
    assert billing.ask("PATCH", PATH, {"external_id": "cus_1"}).status_code == 200


def test_a_purge_frees_it(app):
    acme, kestrel = an_organization("Acme Corp"), an_organization("Kestrel")
    set_external(acme.id, a_context(), external_id="cus_1", metadata={"crm": "A"})
    trashed = trash_organization(fresh(acme), None, a_context())
    with pytest.raises(ExternalIdTaken):
        set_external(kestrel.id, a_context(), external_id="cus_1")
    purge_organization(trashed, None, a_context())
    assert known_by(acme) == (None, {})
    assert set_external(kestrel.id, a_context(), external_id="cus_1").external_id == "cus_1"


def test_of_two_at_once_one_gets_it(app):
    both = [an_organization("Acme Corp"), an_organization("Kestrel")]

    def claim(organization):
        return set_external(organization.id, a_context(), external_id="cus_1")

    with ThreadPoolExecutor(2) as threads:
        errors = [claimed.exception() for claimed in [threads.submit(claim, one) for one in both]]
    assert sorted(type(error) for error in errors if error) == [ExternalIdTaken]
    assert sorted(filter(None, (known_by(one)[0] for one in both))) == ["cus_1"]


def test_members_do_not_see_it(owner, billing):
    billing.ask("PATCH", PATH, {"external_id": "cus_1", "metadata": {"crm": "A-4711"}})
    answer = owner.get("/org/acme-corp")
    assert b"cus_1" not in answer.data
    assert b"A-4711" not in answer.data
