"""Recent authentication by a password, a code or a passkey: required before what does damage, since
a session lasts for days and may be left open."""

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any

from flask import flash, request
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal import clock
from portal.identity.sessions.principals import AccountPrincipal
from portal.web import stale_forms
from portal.web.forms import see_other

RECENT = timedelta(minutes=15)
_NOT_CARRIED_OUT = (
    "What you sent takes a recent proof that it is you, so nothing was changed: confirm it, and "
    "you come back to the form."
)


def recently_authenticated(principal: AccountPrincipal) -> bool:
    """Tell whether the person behind the session authenticated within 15 minutes."""
    last = principal.authenticated_at
    return last is not None and last > clock.now() - RECENT


def reauthenticated(view: Callable[..., ResponseReturnValue]) -> Callable[..., ResponseReturnValue]:
    """Require recent authentication for a page: redirect to it, and then back. A form that was sent
    is lost and filled in again; so the page's route must take GET."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> ResponseReturnValue:
        if recently_authenticated(current_user):
            return view(*args, **kwargs)
        return require_reauthentication(request.full_path.rstrip("?"))

    return guarded


def require_reauthentication(back_to: str) -> ResponseReturnValue:
    """Redirect to reauthentication, and from there to the URL ``back_to``, whose form, if it was
    sent, was not carried out."""
    if request.method == "POST" or stale_forms.is_stale():
        flash(_NOT_CARRIED_OUT, "attention")
    return see_other("authentication.confirm", next=back_to)
