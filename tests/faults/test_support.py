"""Support access is over at its end, wherever the portals were killed that made or dropped the
MongoDB user by which documents are read."""

from datetime import timedelta

import pytest
from bson import ObjectId

from portal import clock
from portal.database.users import users_in
from portal.documents.support import GrantState, SupportGrant
from portal.organizations.access.errors import GrantOver
from portal.organizations.support import reading, tending
from portal.web.acting_operator import ActingOperator
from tests.factories import an_account, an_organization, fresh
from tests.faults import doomed

AN_HOUR = timedelta(hours=1)


def in_force(organization):
    """A grant that an operator may act by."""
    now = clock.now()
    grant = SupportGrant(
        id=ObjectId(), organization=organization.id, state=GrantState.GRANTED, reason="Import stops",
        hours=1, with_documents=True, decided_at=now, ends_at=now + AN_HOUR, due_at=now + AN_HOUR,
    )  # fmt: skip
    return grant.save()


def enter(grant_id):
    """Be a portal that an operator begins to look by."""
    reading.ensure_user(grant_id)


def tend(grant_id):
    """Be a portal's thread that ends what is over."""
    tending.run_once()


def let_time_pass(world, grant_id):
    """Have the grant be over, and whoever made its user be dead for long."""
    world.let_time_pass()
    grant = SupportGrant.objects.get(id=grant_id)
    grant.ends_at -= 2 * AN_HOUR
    grant.due_at = grant.due_at and grant.due_at - 2 * AN_HOUR
    for user in grant.users:
        user.created_at -= 2 * AN_HOUR
    grant.save()


def begin_to_look(world, grant_id):
    return enter


def come_to_its_end(world, grant_id):
    enter(grant_id)
    let_time_pass(world, grant_id)
    return tend


@pytest.mark.attack("O3")
@pytest.mark.full
@pytest.mark.parametrize("prepare", [begin_to_look, come_to_its_end])
def test_a_grant_is_over_at_its_end_wherever_a_portal_is_killed(settings, world, prepare):
    acme = an_organization("Acme Corp", an_account("mara@acme.example"))
    grant = in_force(acme)
    points = doomed.live(settings, prepare(world, grant.id), grant.id).points
    assert len(points) > 20
    let_time_pass(world, grant.id)
    # Nothing is written between an answer and the next command.
    for point in [each for each in points if "to be sent" in each] + [points[-1]]:
        tending.run_once()
        grant = in_force(acme)
        doomed.live(settings, prepare(world, grant.id), grant.id, end=point)
        let_time_pass(world, grant.id)
        operator = ActingOperator(ObjectId(), grant.id)
        with pytest.raises(GrantOver):
            reading.check_reads(operator, acme.id)
        tending.run_once()
        assert not users_in(world.tenant, reading.PREFIX), point
        grant.reload()
        assert (grant.state, list(grant.users)) == (GrantState.EXPIRED, []), point
        assert fresh(acme).support_users == 0, point
