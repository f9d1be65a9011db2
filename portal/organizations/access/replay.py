"""Destinations of forms about organizations that were submitted twice."""

from flask import Blueprint, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf.csrf import CSRFError

from portal.documents.idempotency import IdempotencyRecord
from portal.documents.organizations import OperationKind
from portal.errors import PortalError
from portal.identity.authentication.repeating import repeat_log_in
from portal.organizations.access.lookup import slug_for_member
from portal.web import replay
from portal.web.forms import SIGN_UPS


def install(blueprint: Blueprint, page: str = "organizations.overview") -> None:
    """Have errors of the blueprint's forms answered so where the form was submitted before.
    ``page`` is the organization's page to redirect to."""

    def redirect_to_result(
        record: IdempotencyRecord, error: PortalError | CSRFError
    ) -> ResponseReturnValue:
        if request.endpoint in SIGN_UPS and isinstance(error, PortalError):
            repeat_log_in(request.form.get("email", ""))
        return _redirect_to_first_result(record, page)

    replay.install(blueprint, redirect_to_result)


def _redirect_to_first_result(record: IdempotencyRecord, page: str) -> ResponseReturnValue:
    """Redirect to the result of the request that claimed the key."""
    account = current_user.account_id if current_user.is_authenticated else None
    slug = slug_for_member(record.organization, account)
    if slug:
        return redirect(url_for(page, slug=slug), 303)
    if record.kind == OperationKind.RESTORE:  # not finished yet
        return redirect(url_for("organizations.trashed", organization_id=record.organization), 303)
    trashing = record.kind in (OperationKind.TRASH, OperationKind.PURGE)
    return redirect(url_for("organizations.trash" if trashing else "organizations.list_mine"), 303)
