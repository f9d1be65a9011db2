"""Records of moves as movers leave them, for what shows and counts them."""

from datetime import timedelta

from bson import ObjectId

from portal import clock
from portal.documents.moves import Move, MoveProgress, MoveState, Outcome, VerificationResult
from portal.documents.organizations import Placement, Strategy
from portal.web.context import OPERATOR, RequestContext

ELSEWHERE = Placement(strategy=Strategy.COLLECTION, cluster="europe", collection="org_acme_corp")


def a_move(organization, state=MoveState.COPYING, target=ELSEWHERE, **fields):
    """A move of the organization that is open, in this state, and begun a minute ago."""
    begun = clock.now() - timedelta(minutes=1)
    progress = fields.pop("progress", {})
    values = {
        "organization": organization.id,
        "slug": organization.slug,
        "state": state,
        "open": True,
        "source": organization.placement,
        "target": target,
        "origin": RequestContext(OPERATOR).origin,
        "created_at": begun,
        "due_at": clock.now() + timedelta(seconds=10),
        "progress": MoveProgress(
            **{
                "documents": 4000,
                "bytes": 5_100_000,
                "copied": 2440,
                "rate": 600.0,
                "dirty": 38,
                "moved_at": clock.now(),
                "last_event_at": clock.now(),
                **progress,
            }
        ),
        **fields,
    }
    return Move(**values).save()


def moved(organization, source, **fields):
    """The record of the move by which the organization came from the ``source`` to where it is."""
    return a_move(
        organization,
        MoveState.DONE,
        organization.placement,
        **{
            "source": source,
            "open": None,
            "due_at": None,
            "outcome": Outcome.MOVED,
            "switched_at": clock.now() - timedelta(days=2),
            "ended_at": clock.now() - timedelta(days=2),
            "pause_ms": 34.2,
            "verification": VerificationResult(ranges=3, documents=4000, digest="9c4177e0"),
            **fields,
        },
    )


def a_way_back(organization, source=ELSEWHERE, state=MoveState.SHADOW, **fields):
    """The open way back to the ``source``, from which the organization was moved two days ago."""
    forward = moved(organization, source, drain=fields.get("drain"))
    return a_move(
        organization,
        state,
        source,
        **{
            "way_back_of": forward.id,
            "until": clock.now() + timedelta(days=5),
            "id": ObjectId(),
            **fields,
        },
    )
