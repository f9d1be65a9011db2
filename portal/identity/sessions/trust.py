"""Browsers in which the second factor is not asked for."""

from bson import ObjectId

from portal.audit.trail import record
from portal.database.transactions import transaction
from portal.documents.accounts import Account
from portal.identity.sessions import browsers
from portal.web.context import RequestContext


def end(account_id: ObjectId, context: RequestContext) -> None:
    """Ask for the account's second factor in every browser again."""

    def body() -> None:
        browsers.distrust_all(account_id)
        record(Account.objects.get(id=account_id), "account.browsers_forgotten", context.origin)

    transaction(body)
