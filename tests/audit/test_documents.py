"""Audit events are final: the application can't change or remove one."""

import pytest

from portal.audit.trail import delete_chain
from portal.database.transactions import transactional
from portal.documents.audit import AuditEvent, EventsAreImmutable
from tests.factories import an_organization


def change_and_save():
    event = AuditEvent.objects.first()
    event.action = "organization.viewed"
    event.save()


def save_new_under_an_id_there_is():
    AuditEvent.objects.first().save(force_insert=False)


@pytest.mark.attack("L2")
def test_no_event_can_be_changed_or_removed(master_db):
    an_organization("Acme Corp")
    before = list(master_db.audit_events.find())
    assert before
    for attempt in (
        change_and_save,
        save_new_under_an_id_there_is,
        lambda: AuditEvent.objects.first().delete(),
        lambda: AuditEvent.objects.first().update(set__action="x"),
        lambda: AuditEvent.objects.first().modify(set__action="x"),
        lambda: AuditEvent.objects(seq=1).delete(),
        lambda: AuditEvent.objects(seq=1).update(set__action="x"),
        lambda: AuditEvent.objects(seq=1).update_one(set__action="x"),
        lambda: AuditEvent.objects(seq=1).upsert_one(set__action="x"),
        lambda: AuditEvent.objects(seq=1).modify(set__action="x"),
        lambda: AuditEvent.objects(seq=1).modify(remove=True),
    ):
        with pytest.raises(EventsAreImmutable):
            attempt()
    assert list(master_db.audit_events.find()) == before


def test_the_chain_of_what_never_came_to_be_can_be_forgotten():
    organization = an_organization("Acme Corp")
    transactional(delete_chain)(organization.id)
    assert AuditEvent.objects(chain=organization.id).count() == 0
