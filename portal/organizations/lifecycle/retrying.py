"""Operations that don't get done by themselves: an operator has one tried again, or undone.

Both acquire the operation in the transaction that records it, so whoever works on it at that moment
is overtaken, and writes nothing any more.
"""

from bson import ObjectId

from portal.audit.trail import record
from portal.database.transactions import transactional, within_transaction
from portal.documents.organizations import Failure, OperationKind, Organization
from portal.organizations.lifecycle import engine
from portal.organizations.lifecycle.errors import OperationOver, OperationStays
from portal.web.context import RequestContext
from portal.web.idempotency import claim_key

RETRIED, UNDONE = "operation_retried", "operation_undone"

_UNDOABLE = (
    OperationKind.RENAME,
    OperationKind.TRASH,
    OperationKind.RESTORE,
    OperationKind.RESTRICT,
)
_STAYS: dict[str, str] = {
    OperationKind.CREATE: "whoever signed up was told that it is there",
    OperationKind.PURGE: "its documents are being deleted",
    OperationKind.REPAIR: "it only puts right what is there",
    OperationKind.MOVE: "it is the switch of a move, which is cancelled as a whole",
}


def why_it_stays(organization: Organization) -> str | None:
    """The reason why the organization's operation can't be undone, as half a sentence; ``None``
    where it can: from wherever it is, and with an organization left behind."""
    operation = organization.operation
    if operation.failure:
        return "that is on its way already"
    if operation.kind not in _UNDOABLE:
        return _STAYS.get(operation.kind, "only a newer version of the portal knows it")
    way = engine.PLANS[operation.kind].ways.get(organization.placement.strategy)
    if way and way.back:
        return None
    return "in a shared collection it has no way back; do the opposite once it is done"


def retry_operation(
    organization_id: ObjectId, operation_id: ObjectId, context: RequestContext
) -> Organization:
    """Run the organization's operation at once, whatever it waits for; the organization after that,
    with its operation if it failed again.

    Raises OperationOver where another one runs or none, and what the operation raises where it is
    rolled back.
    """

    @transactional
    def acquire() -> Organization:
        claim_key(context, organization_id, RETRIED, operation_id)
        acquired = engine.overtake(organization_id, operation_id)
        if acquired is None:
            raise OperationOver
        _record(acquired, "organization.operation_retried", context)
        return acquired

    return engine.run_now(acquire())


def undo_operation(
    organization_id: ObjectId, operation_id: ObjectId, context: RequestContext
) -> Organization:
    """Have the organization be as before its operation; the organization after that, with its
    operation if the way back failed, which is then tried again by itself.

    Raises OperationOver where another one runs or none, OperationStays for one without a way back.
    """

    @transactional
    def acquire() -> Organization:
        claim_key(context, organization_id, UNDONE, operation_id)
        acquired = engine.overtake(organization_id, operation_id)
        if acquired is None:
            raise OperationOver
        if reason := why_it_stays(acquired):
            raise OperationStays(acquired.name, engine.doing(acquired.operation.kind), reason)
        failed = engine.fail(acquired, Failure.ABORTED)
        _record(failed, "organization.operation_undone", context)
        return failed

    return engine.roll_back_now(acquire())


@within_transaction
def _record(organization: Organization, action: str, context: RequestContext) -> None:
    operation = organization.operation
    attempt = str(operation.attempt - 1)
    record(organization, action, context.origin, operation=operation.kind, attempt=attempt)
