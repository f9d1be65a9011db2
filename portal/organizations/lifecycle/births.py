"""Creating collections outside of the transaction that needs them: in another cluster, or a pool's.

Their tokens are in the database for the portal's own data of each cluster.
"""

from bson import ObjectId
from pymongo.database import Database

from portal import settings
from portal.database.portal_role import internal_database
from portal.database.transactions import forbid_in_transaction
from portal.tenants import births


def create_once(database: Database, name: str, token: ObjectId) -> None:
    """Create the collection ``name``, unless it was created for this ``token`` before, whatever
    became of it. Raises CollectionNameTaken."""
    forbid_in_transaction()
    internal = database.client[internal_database(settings.current().tenant_db)]
    births.create_once(database, internal, name, token)
