"""Copies of open legal holds beside organizations' documents, in the portal's own database there.

Each is written and deleted in the transaction of its hold. So an older backup of master data, when
it is restored, takes no hold away unseen: the doctor finds those that only have a copy.
"""

from typing import Any

from pymongo.collection import Collection

from portal import settings
from portal.database.connection import client
from portal.database.portal_role import internal_database
from portal.database.transactions import within_transaction
from portal.documents.restrictions import Hold

COLLECTION = "holds"


def copies() -> Collection[dict[str, Any]]:
    """The copies of all open holds, by the holds' ids."""
    return client()[internal_database(settings.current().tenant_db)][COLLECTION]


@within_transaction
def keep_copy(hold: Hold) -> None:
    """Keep a copy of the hold, which is being set."""
    kept = ("organization", "reason", "until", "at", "by")
    copy = {name: hold[name] for name in kept if hold[name] is not None}
    copies().insert_one({"_id": hold.id, **copy})


@within_transaction
def delete_copy(hold: Hold) -> None:
    """Delete the copy of the hold, which is being released."""
    copies().delete_one({"_id": hold.id})
