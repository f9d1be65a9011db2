"""Organizations that move, and movers that are run by the tests."""

from portal.documents.moves import Move
from portal.documents.organizations import MAIN_CLUSTER
from portal.organizations.moving import mover
from portal.organizations.moving.managing import Options, start_move
from portal.organizations.moving.planning import Wish, plan_move
from tests.factories import a_context


def begin(organization, strategy, cluster=MAIN_CLUSTER, **options):
    """Start a move of the organization as planned."""
    planned = plan_move(organization, Wish(strategy, cluster)).planned
    return start_move(organization, planned, Options(**options), a_context())


def run_movers(seconds=None):
    """Do all that is due, once."""
    return mover.run_copies() + mover.run_due()


def make_due():
    """Have all open moves be due now."""
    Move._get_collection().update_many({"open": True}, [{"$set": {"due_at": "$$NOW"}}])


def move(organization, strategy, cluster=MAIN_CLUSTER, **options):
    """Move the organization to its end; the move."""
    begun = begin(organization, strategy, cluster, **options)
    run_movers()
    return Move.objects.get(id=begun.id)
