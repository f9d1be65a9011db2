"""The owners are told when an organization goes to the trash, and before it is purged."""

from datetime import timedelta

import pytest
from bson import ObjectId

from portal import clock
from portal.database.migrations import repeat_migrations
from portal.documents.memberships import Role
from portal.mail import sender
from portal.organizations.lifecycle import runner
from portal.organizations.lifecycle.renaming import restore_organization
from portal.organizations.lifecycle.trashing import WARNED_BEFORE, trash_organization
from portal.web.context import OPERATOR, AuditActor, RequestContext
from tests.factories import a_context, a_member, an_account, an_organization, fresh
from tests.mail.post_office import text_of


def a_trashed():
    mara = an_account("mara@acme.example")
    organization = an_organization("Acme Corp", mara)
    a_member(organization, Role.OWNER, "idris@acme.example")
    a_member(organization, Role.VIEWER, "teo@acme.example")
    return trash_organization(organization, None, a_context(mara))


def warning_is_due(master_db):
    past = clock.now() - timedelta(minutes=1)
    master_db.organizations.update_many({"warn_at": {"$exists": True}}, {"$set": {"warn_at": past}})


def test_each_owner_is_told_and_nobody_else(app, office):
    organization = a_trashed()
    sender.send_due_mails(app)
    assert {m["To"] for m in office.messages} == {"mara@acme.example", "idris@acme.example"}
    [message] = office.to("idris@acme.example")
    assert message["Subject"] == "Acme Corp is in the trash"
    assert "mara@acme.example deleted Acme Corp" in text_of(message)
    assert f"http://localhost/trash/{organization.id}" in text_of(message)


@pytest.mark.parametrize(
    ("actor", "deleter"),
    [
        (OPERATOR, "The operator"),
        (AuditActor(kind="key", id=ObjectId(), name="key “Sync”"), "The key “Sync”"),
        (AuditActor(), "The portal"),
    ],
)
def test_owners_are_told_who_deleted_it_where_no_account_did(app, office, actor, deleter):
    trash_organization(an_organization("Acme Corp"), None, RequestContext(actor))
    sender.send_due_mails(app)
    [message] = office.messages
    assert text_of(message).startswith(f"{deleter} deleted Acme Corp.")


def test_what_was_restored_before_the_mail_left_is_not_told(app, office):
    restore_organization(a_trashed(), None, a_context())
    sender.send_due_mails(app)
    assert not office.messages


def test_three_days_before_the_purge_each_owner_is_told_once(app, office, master_db):
    organization = a_trashed()
    assert organization.purge_at - organization.warn_at == WARNED_BEFORE == timedelta(days=3)
    sender.send_due_mails(app)
    office.messages.clear()
    assert runner.send_due_warnings() == 0
    warning_is_due(master_db)
    assert (runner.send_due_warnings(), runner.send_due_warnings()) == (1, 0)
    sender.send_due_mails(app)
    assert {m["To"] for m in office.messages} == {"mara@acme.example", "idris@acme.example"}
    assert f"will be purged on {organization.purge_at:%-d %B %Y}" in office.messages[0]["Subject"]


def test_owners_are_warned_of_what_an_earlier_version_put_into_the_trash(app, office, master_db):
    organization = a_trashed()
    master_db.organizations.update_one({}, {"$unset": {"warn_at": 1}})
    assert runner.send_due_warnings() == 0
    near = {"purge_at": clock.now() + timedelta(days=2)}
    master_db.organizations.update_one({}, {"$set": near})
    assert (runner.send_due_warnings(), runner.send_due_warnings()) == (1, 0)
    assert repeat_migrations(master_db) == ()
    # Restored and put into the trash once more by the earlier version.
    again = {"purge_at": clock.now() + timedelta(days=1)}
    master_db.organizations.update_one({"_id": organization.id}, {"$set": again})
    assert (runner.send_due_warnings(), runner.send_due_warnings()) == (1, 0)


def test_who_restores_is_not_warned(app, master_db):
    organization = restore_organization(a_trashed(), None, a_context())
    assert fresh(organization).warn_at is None
    warning_is_due(master_db)
    assert runner.send_due_warnings() == 0
