"""The audit trail: a chain in which nothing can be changed unnoticed."""

import pytest

from portal.audit.trail import event_hash, personal_digest
from portal.documents.audit import AuditEvent
from portal.documents.organizations import Organization
from portal.organizations.lifecycle.renaming import rename_organization
from portal.organizations.lifecycle.trashing import trash_organization
from tests.factories import a_context, an_organization, fresh


def chain_of(organization):
    return list(AuditEvent.objects(chain=organization.id).order_by("seq"))


def first_broken(events):
    previous = ""
    for event in events:
        if event.hash != event_hash(previous, event.to_mongo()):
            return event.seq
        previous = event.hash
    return None


def a_lived_organization():
    organization = an_organization("Acme Corp")
    rename_organization(organization, "Other", a_context())
    rename_organization(fresh(organization), "OTHER", a_context())
    trash_organization(fresh(organization), "OTHER", a_context())
    return organization


def test_every_change_is_one_event_in_the_organizations_chain():
    events = chain_of(a_lived_organization())
    assert [event.seq for event in events] == [1, 2, 3, 4]
    assert [event.action for event in events] == [
        "organization.created",
        "organization.renamed",
        "organization.renamed",
        "organization.trashed",
    ]
    assert events[1].details["name_before"] == "Acme Corp"
    assert events[1].details["name"] == "Other"
    assert events[1].request_id == "0123456789abcdef"


def test_the_chain_holds_and_its_head_stands_in_the_organization():
    organization = a_lived_organization()
    events = chain_of(organization)
    assert first_broken(events) is None
    head = Organization.objects.get(id=organization.id).audit_head
    assert (head.seq, head.hash) == (events[-1].seq, events[-1].hash)


@pytest.mark.attack("L2")
def test_a_changed_event_breaks_the_chain_where_it_stands():
    organization = a_lived_organization()
    for field, value in (
        ("action", "organization.viewed"),
        ("actor", organization.id),
        ("details", {"name": "Else"}),
        ("request_id", "f" * 16),
        ("actor_kind", "command"),
        ("target", organization.id),
        ("session", organization.id),
    ):
        events = chain_of(organization)
        setattr(events[1], field, value)
        assert first_broken(events) == 2


def test_a_dropped_or_moved_event_breaks_the_chain():
    organization = a_lived_organization()
    one, two, three, four = chain_of(organization)
    assert first_broken([one, three, four]) == 3
    assert first_broken([two, one, three, four]) == 2


def test_personal_values_can_be_erased_without_breaking_the_chain():
    organization = a_lived_organization()
    events = chain_of(organization)
    sealed = events[0].personal["address"]
    assert sealed["value"] == "192.0.2.7"
    assert sealed["digest"] == personal_digest("192.0.2.7", sealed["salt"])
    for event in events:
        for sealed in event.personal.values():
            del sealed["value"], sealed["salt"]
    assert first_broken(events) is None


def test_equal_personal_values_have_different_digests():
    events = chain_of(a_lived_organization())
    digests = [event.personal["address"]["digest"] for event in events]
    assert len(set(digests)) == len(digests)
