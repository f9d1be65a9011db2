"""That somebody gave a password, a code or a passkey a short while ago: asked for before what does
damage, since a session lasts for days and may be found open."""

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any

from flask import redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal import clock
from portal.identity.sessions.principals import AccountPrincipal

RECENT = timedelta(minutes=15)


def recently_authenticated(principal: AccountPrincipal) -> bool:
    """Whether the person behind the session proved who they are within 15 minutes."""
    proved = principal.authenticated_at
    return proved is not None and proved > clock.now() - RECENT


def reauthenticated(
    view: Callable[..., ResponseReturnValue],
) -> Callable[..., ResponseReturnValue]:
    """Have the page asked for confirmed by whoever is logged in, unless they just did; then back to
    it. What a form sent is asked for again; so it stands below a page's route, which takes GET."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> ResponseReturnValue:
        if recently_authenticated(current_user):
            return view(*args, **kwargs)
        return require_reauthentication(request.full_path.rstrip("?"))

    return guarded


def require_reauthentication(back_to: str) -> ResponseReturnValue:
    """Have whoever is logged in confirm who they are, and lead them back."""
    return redirect(url_for("authentication.confirm", next=back_to), 303)
