"""Organizations that move, and movers that are run by the tests."""

from portal.documents.moves import Move, MoveState
from portal.documents.organizations import MAIN_CLUSTER
from portal.organizations.moving import mover
from portal.organizations.moving.options import Options, Switch
from portal.organizations.moving.planning import Wish, plan_move
from portal.organizations.moving.starting import start_move
from portal.organizations.storage import tenant_of
from tests.factories import a_context, collections_in, fresh


def begin(organization, strategy, cluster=MAIN_CLUSTER, **options):
    """Start a move of the organization as planned."""
    planned = plan_move(organization, Wish(strategy, cluster)).planned
    return start_move(organization, planned, Options(**options), a_context())


def run_movers():
    """Do all that is due, once."""
    return mover.run_once()


def make_due():
    """Have all open moves be due now."""
    Move._get_collection().update_many({"open": True}, [{"$set": {"due_at": "$$NOW"}}])


def move(organization, strategy, cluster=MAIN_CLUSTER, **options):
    """Move the organization to its end; the move."""
    begun = begin(organization, strategy, cluster, **options)
    run_movers()
    return Move.objects.get(id=begun.id)


def run_due_movers(times=3):
    """Do all that is due, as if time passed in between."""
    for _ in range(times):
        make_due()
        run_movers()


def a_ready_move(organization, strategy, cluster=MAIN_CLUSTER, **options):
    """A move that is ready, and switches when somebody says so."""
    begun = begin(organization, strategy, cluster, switch=Switch.ON_COMMAND, **options)
    run_movers()
    ready = now(begun)
    assert ready.state == MoveState.READY, repr(ready.to_mongo())
    return ready


def now(a_move):
    """The move as it is now."""
    return Move.objects.get(id=a_move.id)


def documents_of(organization):
    """The organization's documents, as applications read them."""
    return list(tenant_of(fresh(organization)).find(sort=[("_id", 1)]))


def left_over(tenant_db):
    """What a move may leave neither in the tenant database nor in one of an organization's own."""
    client = tenant_db.client
    names = [tenant_db.name, *(n for n in client.list_database_names() if n.startswith("t_"))]
    return [
        f"{database}.{name}"
        for database in names
        for name in collections_in(client[database])
        if name.startswith(("move_", "moving_", "portal_moving", "portal_moved"))
    ]
