"""Logging in by programs, and introspection of their credentials."""

from typing import Any

from flask_login import current_user

from portal import settings
from portal.api import account_schemas
from portal.api.guard import ApiBlueprint, logged_in
from portal.identity.authentication import logging_in
from portal.identity.authentication.authenticate import issue_bearer_token
from portal.identity.authentication.errors import SecondFactorCodeRequired, WrongCredentials
from portal.identity.second_factors.errors import MalformedCode, WrongCode
from portal.identity.sessions.errors import AccountBlocked
from portal.identity.sessions.principals import OrganizationKey
from portal.organizations import directory
from portal.web.errors import Overloaded, TooManyAttempts
from portal.web.requests import request_context, user_agent

admin = ApiBlueprint("admin", __name__, url_prefix="/admin", description="Logging in")
auth = ApiBlueprint("auth", __name__, url_prefix="/auth", description="Who a token is")


@admin.post(
    "/login",
    refusals=(
        WrongCredentials,
        SecondFactorCodeRequired,
        MalformedCode,
        WrongCode,
        AccountBlocked,
        TooManyAttempts,
        Overloaded,
    ),
)
@admin.arguments(account_schemas.LogInBody)
@admin.response(200, account_schemas.TokenAnswer)
@admin.doc(security=[])
def log_in(body: dict[str, str]) -> dict[str, Any]:
    """Log in

    Gives a bearer token. An account that has a second factor needs a `code` of its app, or a
    recovery code; without it the answer is 401 `second_factor_required`. The token is a session:
    listed, and ended like that of a browser. It takes no `Idempotency-Key`: its answer is a secret,
    which is not kept. Sent again, it gives another.

    A program is no browser that is known again: when strangers guess at its account's password, it
    has to wait too, up to 15 minutes (429 with `Retry-After`). What must not wait comes by an
    organization's API key, which needs no log-in.
    """
    principal = logging_in.log_in_program(
        body["email"], body["password"], body.get("code"), request_context(), user_agent()
    )
    return {
        "token": issue_bearer_token(principal),
        "expires_in": settings.current().jwt_expires_seconds,
    }


@auth.get("/check")
@logged_in
@auth.response(200, account_schemas.CheckAnswer)
def check_token() -> dict[str, Any]:
    """See who the token or key is, and what it leads to

    Whoever lets people into something of an organization by this answer may go by `organizations`.
    One that requires a second factor of an account that has none is not among them: it stands in
    `second_factor_required`, which is there for such accounts alone.

    A key has no account, and one organization: none while that is in the trash. `key` is there
    for keys alone, and `expires_at` is null for one without a last day.
    """
    if isinstance(current_user, OrganizationKey):
        return _check_key(current_user)
    organizations, locked_out = directory.memberships_of(current_user.account_id)
    return {
        "account": {"id": current_user.account_id, "email": current_user.email},
        "organizations": organizations,
        **({"second_factor_required": locked_out} if locked_out else {}),
        "expires_at": current_user.session_expires_at,
    }


def _check_key(key: OrganizationKey) -> dict[str, Any]:
    organization = directory.find_active(key.organization_id)
    membership = organization and {
        "name": organization.name,
        "slug": organization.slug,
        "role": key.role,
    }
    return {
        "account": None,
        "organizations": [membership] if membership else [],
        "key": {"id": key.id, "name": key.name, "permissions": sorted(key.permissions)},
        "expires_at": key.expires_at,
    }
