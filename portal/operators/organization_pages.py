"""Pages about one organization: a decorator that finds operator and organization; rendering."""

from collections.abc import Callable
from typing import Any

import structlog
from flask import Blueprint, g, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError

from portal.documents.idempotency import IdempotencyRecord
from portal.documents.organizations import Organization
from portal.errors import Action, NotFound, PortalError
from portal.operators.access import Operator
from portal.operators.guards import View, with_operator
from portal.operators.tab_counts import TabCounts
from portal.organizations.access.lookup import parse_object_id
from portal.web import replay
from portal.web.forms import Form


def find_organization(organization_id: str) -> Organization:
    """The organization with this id, whatever its state. Raises NotFound."""
    organization = Organization.objects(id=parse_object_id(organization_id)).first()
    if organization is None:
        raise NotFound(organization_id)
    structlog.contextvars.bind_contextvars(organization=organization_id)
    return organization


def with_organization(permission: str) -> Callable[[View], View]:
    """Pass the view the ``Operator``, and the organization in place of its id. Otherwise answers
    like ``with_operator``; 404 where there is no such organization."""

    def decorate(view: View) -> View:
        def found(operator: Operator, organization_id: str, **ids: Any) -> ResponseReturnValue:
            organization = find_organization(organization_id)
            g.console_organization = organization.id
            return view(operator, organization, **ids)

        found.__name__ = view.__name__
        return with_operator(permission)(found)

    return decorate


def install(blueprint: Blueprint, page: str) -> None:
    """Have errors of the blueprint's forms lead to the ``page`` of the organization in the console,
    and a form that was sent twice be answered by it."""

    def redirect_to_result(
        record: IdempotencyRecord, error: PortalError | CSRFError
    ) -> ResponseReturnValue:
        return redirect(url_for(page, organization_id=record.organization), 303)

    def back() -> tuple[Action, ...]:
        found = g.get("console_organization")
        return (
            (Action("Back to the organization", page, {"organization_id": found}),) if found else ()
        )

    replay.install(blueprint, redirect_to_result, back)


def render_page(
    template: str,
    operator: Operator,
    organization: Organization,
    form: Form | None = None,
    **values: object,
) -> ResponseReturnValue:
    """Render the page about the organization, with the status of its ``form``, if it has one."""
    page = render_template(
        template,
        operator=operator,
        organization=organization,
        counts=TabCounts(organization.id),
        form=form,
        **values,
    )
    return page, form.status if form else 200
