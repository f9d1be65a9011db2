"""Pages of an organization: decorators that resolve it and check a permission; rendering."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_required

from portal.identity.authentication.authenticate import read_along
from portal.identity.sessions.principals import SupportPrincipal
from portal.organizations.access.errors import LooksOnly, OrganizationRenamed
from portal.organizations.access.lookup import (
    Access,
    access_to,
    access_to_trashed,
    stages_along,
)
from portal.organizations.access.support import record_page, while_in_force
from portal.web.forms import Form
from portal.web.requests import SAFE, request_context

View = Callable[..., ResponseReturnValue]
Joins = Callable[[], list[dict[str, Any]]]


def with_access(permission: str, joins: Joins = list) -> Callable[[View], View]:
    """Pass the view the account's ``Access`` in place of the slug; without access, 404 or 403.
    ``joins`` makes stages that read more along with it.

    What an operator opens by a support grant is in the audit trail before it is shown; they change
    nothing. By an old slug, pages redirect members to the current one, and changes are refused.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(slug: str, **ids: Any) -> ResponseReturnValue:
            read = read_along(stages_along(slug, joins()))  # before the session is read
            if not current_user.is_authenticated:
                return current_app.login_manager.unauthorized()  # type: ignore[attr-defined]
            principal = current_user._get_current_object()
            if not isinstance(principal, SupportPrincipal):
                access = access_to(slug, principal, permission, read=read.found, joins=joins())
                return _open(view, access, ids)
            if request.method not in SAFE:
                raise LooksOnly
            access = access_to(slug, principal, permission, joins=joins())
            page = request.full_path.rstrip("?")
            record_page(access, principal.grant_id, page, request_context())
            with while_in_force(principal.grant_id):
                return _open(view, access, ids)

        return guarded

    return decorate


def _open(view: View, access: Access, ids: dict[str, Any]) -> ResponseReturnValue:
    """The page, or the way to it from an organization's old slug."""
    if not access.by_old_slug:
        return view(access, **ids)
    if request.method == "POST":
        raise OrganizationRenamed(access.organization.name, access.organization.slug)
    url = url_for(f".{view.__name__}", slug=access.organization.slug, **ids)
    query = request.query_string.decode("latin-1")
    # Not 301 or 308: browsers cache those for ever, and the slug may get another owner.
    return redirect(f"{url}?{query}" if query else url, 307)


def with_trashed(permission: str) -> Callable[[View], View]:
    """Pass the view the owner's ``Access`` to an organization in the trash in place of its id;
    otherwise 404, or 409 where it was restored or purged."""

    def decorate(view: View) -> View:
        @wraps(view)
        @login_required
        def guarded(organization_id: str) -> ResponseReturnValue:
            access = access_to_trashed(organization_id, current_user.account_id)
            access.require(permission)
            return view(access)

        return guarded

    return decorate


def render_page(
    template: str, access: Access, form: Form | None = None, **values: object
) -> ResponseReturnValue:
    """Render a page of the organization, with the status of its ``form``, if it has one."""
    page = render_template(
        template, access=access, organization=access.organization, form=form, **values
    )
    return page, form.status if form else 200
