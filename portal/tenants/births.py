"""Creates collections outside of the transaction that needs them.

A command that creates a collection can't be fenced by a UUID, which is not there yet. So it runs in
a transaction of its cluster that also writes a token, and each token is written once: a process
that was suspended and wakes late creates nothing.
"""

from collections.abc import Mapping
from typing import Any

from bson import ObjectId
from pymongo import ReadPreference
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError, OperationFailure
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from portal.tenants._sync.sessions import transacted
from portal.tenants.collections import CollectionNameTaken, create_collection

TOKENS = "births"
"""The collection of tokens, in the database for the portal's own data of each cluster."""

_NO_OPTIONS: Mapping[str, Any] = {}
_NAMESPACE_EXISTS = 48


def create_once(
    database: Database,
    internal: Database,
    name: str,
    token: ObjectId,
    options: Mapping[str, Any] = _NO_OPTIONS,
) -> None:
    """Create the collection ``name`` with the ``options`` of ``create``, unless it was created for
    this ``token`` before, whatever became of it. Tokens are in the database ``internal`` of the
    same cluster. Raises CollectionNameTaken."""
    tokens = internal[TOKENS]

    def create(session: ClientSession) -> None:
        with session.bind(end_session=False):
            tokens.insert_one({"_id": token})
            create_collection(database, name, options)

    try:
        with database.client.start_session() as session:
            transacted(
                session,
                create,
                read_concern=ReadConcern("local"),
                write_concern=WriteConcern("majority"),
                read_preference=ReadPreference.PRIMARY,
            )
    except DuplicateKeyError:
        return
    except OperationFailure as error:
        if error.code != _NAMESPACE_EXISTS:
            raise
        # Where two transactions make the collection of tokens as well, neither sees the other's.
        if tokens.find_one({"_id": token}) is None:
            raise CollectionNameTaken(name) from error


def forestall(internal: Database, token: ObjectId) -> bool:
    """Have nothing be created for this ``token`` any more; ``False`` where something was, or this
    was done before."""
    tokens = internal[TOKENS].with_options(write_concern=WriteConcern("majority"))
    try:
        tokens.insert_one({"_id": token})
    except DuplicateKeyError:
        return False
    return True
