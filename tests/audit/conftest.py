"""A trail to read, and who reads it."""

from datetime import UTC, datetime, timedelta

import pytest
from bson import ObjectId

from portal.audit.trail import event_hash, next_event
from portal.documents.accounts import Account
from portal.documents.audit import Head, Origin
from portal.documents.organizations import Organization
from tests.factories import an_organization
from tests.program import Program

BEGUN = datetime(2100, 3, 1, tzinfo=UTC)  # after now


@pytest.fixture
def owner(app, visitor):
    """The owner of Acme Corp as a program; as a browser it is ``visitor``."""
    visitor.sign_up("Acme Corp")
    program = Program(app)
    program.log_in(Account.objects.get().email)
    return program


@pytest.fixture
def lived(owner, master_db):
    """Acme Corp with a past: ``count`` more events by the owner, two keys, and the portal, one
    every ``apart``; returned is how many there are."""

    def live(count, apart=timedelta(hours=1)):
        organization = Organization.objects.get(slug="acme-corp")
        account = Account.objects.get(id=organization.created_by)
        origins = [
            Origin(account=account.id, email=account.email, address="192.0.2.7", request_id="a" * 16),
            Origin(actor=ObjectId(), actor_kind="key", actor_name="key “Nightly import”"),
            Origin(),
        ]  # fmt: skip
        head, events = organization.audit_head, []
        for n in range(count):
            action = "organization.renamed" if n % 10 else "organization.restored"
            event = next_event(
                head, organization.id, action, origins[n % 3], {"name_before": str(n), "name": str(n + 1)}
            )  # fmt: skip
            events.append(at(event, BEGUN + n * apart, head.hash))
            head = Head(seq=event.seq, hash=event.hash, at=event.at)
        master_db.audit_events.insert_many([event.to_mongo() for event in events])
        Organization.objects(id=organization.id).update_one(set__audit_head=head)
        return head.seq

    return live


def at(event, time, previous):
    """The event as if it had been written then."""
    event.at = time
    event.hash = event_hash(previous, event.to_mongo())
    return event


@pytest.fixture
def strangers():
    """Another organization with a trail of its own."""
    return an_organization("Others")
