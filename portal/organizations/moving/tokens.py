"""Rows beside documents, written to a move's target as long as the move is this attempt's."""

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo import DeleteMany, ReplaceOne
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from portal.tenants._sync.sessions import transacted
from portal.tenants.moving.errors import Overtaken
from portal.tenants.moving.places import Place
from portal.tenants.moving.writing import TOKENS


def write_rows(
    target: Place,
    rows: Collection[Any],
    writes: Sequence[ReplaceOne[Any] | DeleteMany],
    token: Mapping[str, Any],
) -> None:
    """Write or delete ``rows`` at the target, in one transaction that also changes the token.
    Raises Overtaken, with nothing written, where another attempt took the move over."""

    def write(session: ClientSession) -> None:
        # Changed, so that it conflicts with whoever takes over meanwhile.
        changed, tokens = {"$inc": {"batches": 1}}, target.internal[TOKENS]
        if not tokens.update_one(token, changed, session=session).matched_count:
            raise Overtaken(token["_id"], token["attempt"])
        rows.bulk_write(writes, ordered=False, session=session)

    if not writes:
        return
    with target.database.client.start_session() as session:
        transacted(
            session,
            write,
            read_concern=ReadConcern("local"),
            write_concern=WriteConcern("majority"),
        )
