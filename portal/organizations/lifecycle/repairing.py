"""Repairs: a tenant collection gets its recorded name back.

Somebody renamed it in the database, or an attempt that had lost its lease did.
"""

import structlog

from portal.documents.organizations import OperationKind, Organization
from portal.organizations.lifecycle.engine import Plan, update_if_held
from portal.organizations.lifecycle.steps import rename_collection

log = structlog.get_logger()


def _finish_repair(organization: Organization) -> Organization:
    # No audit event: no master data changes.
    repaired = update_if_held(organization, unset__operation=True)
    name = repaired.placement.collection
    log.warning("collection.name_repaired", organization=str(repaired.id), collection=name)
    return repaired


def _undo_repair(organization: Organization) -> Organization:
    return update_if_held(organization, unset__operation=True)


REPAIR = Plan(
    kind=OperationKind.REPAIR,
    title="Giving the collection its name back",
    doing="being repaired",
    forward=(rename_collection, _finish_repair),
    back=(_undo_repair,),
)
