"""Exercising a way back before the switch: a way back that was only planned is none."""

import time
from typing import Any

from bson import ObjectId, encode

from portal.documents.moves import Move
from portal.organizations.lifecycle.moves import Attempt
from portal.organizations.moving.stopping import Stopped
from portal.tenants.moving.following import Follower
from portal.tenants.moving.writing import Target

SECONDS = 5


def exercise_way_back(move: Move, attempt: Attempt) -> dict[str, Any]:
    """The token at which the way back's stream begins, which was seen to work: a marker that is
    written at the target arrived in the stream, and was applied to the source.

    The marker is inserted and deleted in one transaction, so nobody ever sees it, and nothing but
    it is applied: at the source its id is deleted, where it never was. Raises Stopped where it
    doesn't arrive, and what the data plane raises.
    """
    marker = encode({"": ObjectId()})
    with Follower(attempt.target.place) as reverse:
        token = dict(reverse.token)
        attempt.target.exercise(marker)
        old_copy = Target(attempt.source, move.way_back, 0)
        old_copy.take_over()
        until = time.monotonic() + SECONDS
        while marker not in reverse.dirty:
            if time.monotonic() > until:
                raise Stopped(
                    "the way back doesn't work: what is written at the target doesn't arrive at "
                    "the source. Switch without a way back, or abort"
                )
            reverse.pump(0.1)
        old_copy.delete([marker])
    return token
