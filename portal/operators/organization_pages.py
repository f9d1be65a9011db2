"""Pages about one organization: a decorator that finds operator and organization; rendering."""

from collections.abc import Callable
from typing import Any

import structlog
from flask import render_template
from flask.typing import ResponseReturnValue

from portal.documents.organizations import Organization
from portal.errors import NotFound
from portal.operators.access import Operator
from portal.operators.guards import View, with_operator
from portal.organizations.access.lookup import parse_object_id
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
            return view(operator, find_organization(organization_id), **ids)

        found.__name__ = view.__name__
        return with_operator(permission)(found)

    return decorate


def render_page(
    template: str,
    operator: Operator,
    organization: Organization,
    form: Form | None = None,
    **values: object,
) -> ResponseReturnValue:
    """Render the page about the organization, with the status of its ``form``, if it has one."""
    page = render_template(
        template, operator=operator, organization=organization, form=form, **values
    )
    return page, form.status if form else 200
