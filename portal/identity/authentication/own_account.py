"""Pages that need more of the account than its principal has."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import current_app
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal.documents.accounts import Account
from portal.identity.authentication.authenticate import read_along

View = Callable[..., ResponseReturnValue]


def with_account(view: View) -> View:
    """Pass the view the logged-in person's account, which is read with the session; lead anybody
    else to the log-in."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> ResponseReturnValue:
        read = read_along([{"$set": {"along": ["$account"]}}])  # before the session is read
        if not current_user.is_authenticated:
            return current_app.login_manager.unauthorized()  # type: ignore[attr-defined]
        account_id = current_user.account_id
        found = next(iter(read.found or ()), None)
        account = Account._from_son(found) if found else Account.objects.get(id=account_id)
        return view(account, *args, **kwargs)

    return guarded
