"""Destinations of forms of accounts, those of mailed links among them, also of forms submitted
twice."""

from flask import Blueprint
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError

from portal.bidi import isolated
from portal.documents.accounts import Account
from portal.documents.idempotency import IdempotencyRecord
from portal.errors import PortalError
from portal.identity.accounts import changing, closing, creating, recovering
from portal.identity.authentication.repeating import repeat_log_in
from portal.identity.second_factors import resetting
from portal.identity.sessions import sessions
from portal.web import replay
from portal.web.forms import see_other

_LOG_IN, _PROFILE = "authentication.log_in", "account.profile"
# By kind of change: the page, and what it says.
_RESULTS = {
    recovering.RECOVERY: (_LOG_IN, "Your password is changed. Log in with it."),
    creating.VERIFICATION: ("organizations.list_mine", "{email} is verified."),
    changing.ADDRESS: (_PROFILE, "Your address is {email} now."),
    changing.PASSWORD: (_PROFILE, "Your password is changed. All other sessions have ended."),
    changing.ADDRESS_REQUEST: (
        _PROFILE,
        "A link is on its way to the new address. Follow it within 24 hours; until then your "
        "address stays as it is.",
    ),
    resetting.KEEPING: (
        "home.landing",
        "Your second factors stay as they are. If it was not you who asked for the reset, tell "
        "whoever runs this portal.",
    ),
    sessions.ENDING: ("account.list_sessions", "The session has ended."),
    closing.CLOSING: (_LOG_IN, "Your account is closed."),
}


def install(blueprint: Blueprint) -> None:
    """Have errors of the blueprint's forms answered so where the form was submitted before."""
    replay.install(blueprint, _redirect_to_first_result)


def redirect_to_result(kind: str, email: str | None = None) -> ResponseReturnValue:
    """Redirect to the page that follows a change of this ``kind`` to the account with this
    ``email`` address."""
    endpoint, message = _RESULTS[kind]
    return see_other(endpoint, message.format(email=isolated(email or "")))


def _redirect_to_first_result(
    record: IdempotencyRecord, error: PortalError | CSRFError
) -> ResponseReturnValue:
    account = Account.objects(id=record.organization).only("email").first()
    email = account.email if account else None
    # The new password alone opens nothing: this asks for a second factor as the log-in page does.
    if record.kind == creating.VERIFICATION and email and isinstance(error, PortalError):
        repeat_log_in(email)
    return redirect_to_result(record.kind, email)
