"""The base classes of all forms, and the answer to one that took effect."""

import secrets
from collections.abc import Callable
from datetime import date
from typing import Any, TypeVar

from flask import flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm
from markupsafe import Markup, escape
from werkzeug.datastructures import MultiDict
from wtforms import DateField, Field, HiddenField, SelectMultipleField, TextAreaField
from wtforms.widgets import DateInput
from wtforms.widgets.core import Input, clean_key

from portal.errors import PortalError, SeveralErrors
from portal.web import bodies, requests, stale_forms
from portal.web.errors import DuplicateRequest
from portal.web.idempotency import find_record, form_idempotency_key

KEY_FIELD = "idempotency_key"
SIGN_UPS = ("organizations.sign_up", "organizations.finish_sign_up", "invitations.follow")
# Forms that change the principal, and so would change the scope of the second click.
_CHANGE_PRINCIPAL = (
    *SIGN_UPS,
    "accounts.verify",
    "accounts.recover",
    "operators.enter",
    "account.close",
    "authentication.bring_second_factor",
    "authentication.use_passkey",
)

Result = TypeVar("Result")


def attributes(**given: object) -> Markup:
    """HTML attributes as WTForms' ``html_params`` makes them, in a seventh of its time, which is
    half of a short form's."""
    named = ((clean_key(name), value) for name, value in sorted(given.items()))
    rendered = (
        name if value is True else f'{name}="{_quoted(value)}"'
        for name, value in named
        if value is not False
    )
    return Markup(" ".join(rendered))  # noqa: S704 (values are escaped, names are the portal's)


def _quoted(value: object) -> str:
    # What is escaped already may have quotation marks.
    return f"{escape(value)}".replace('"', "&quot;")


Input.html_params = staticmethod(attributes)


def store_idempotency_key() -> None:
    """Store the submitted form's idempotency key, if any, on the request. Raises InvalidInput."""
    reads = request.method == "POST" and not bodies.is_stream()
    sent = request.form.getlist(KEY_FIELD) if reads else []
    if sent:
        typed = sent[0] if len(sent) == 1 else ""
        anonymous = request.endpoint in _CHANGE_PRINCIPAL
        requests.take_idempotency_key(typed, KEY_FIELD, form_idempotency_key, anonymous=anonymous)


def see_other(endpoint: str, message: str = "", **values: Any) -> ResponseReturnValue:
    """Redirect (303) to the page of this ``endpoint``, which shows the ``message`` once, also for a
    form that was sent twice."""
    waiting = [words for _, words in session.get("_flashes", [])]
    if message and message not in waiting:
        flash(message, "ok")
    return redirect(url_for(endpoint, **values), 303)


class Form(FlaskForm):
    """A form that shows a service's errors at their fields."""

    status = 200
    succeeded = False

    class Meta(FlaskForm.Meta):
        """Reads form fields only: no files, no JSON."""

        def wrap_formdata(self, form: FlaskForm, formdata: object) -> MultiDict | None:
            return request.form if request.method == "POST" or stale_forms.is_stale() else None

    def is_submitted(self) -> bool:
        """Tell whether the request is the form, carried out or shown again."""
        return stale_forms.is_stale() or super().is_submitted()

    def submit(self, action: Callable[[], Result]) -> Result | None:
        """Call ``action`` if the form was submitted and is valid; its result, or ``None``, also
        for a stale form, which is only shown again.

        An error of one of the fields becomes the message there, and its status the form's
        ``status``; any other error is raised. Raises DuplicateRequest where an earlier submission
        of the form succeeded, which may be why this one failed.
        """
        if not self.is_submitted():
            return None
        if stale_forms.is_stale():
            self.status = 400
            self._join_lines()
            stale_forms.explain()
            return None
        if not self.validate():
            self.status = 422
            self._join_lines()
            return None
        try:
            result = action()
            self.succeeded = True
            return result
        except PortalError as error:
            if find_record(requests.idempotency_key()):
                raise DuplicateRequest from error
            self._show(error)
            self._join_lines()
            return None

    def render(self, template: str, **values: Any) -> ResponseReturnValue:
        """Render the form's page with its ``status``."""
        return render_template(template, form=self, **values), self.status

    def validate(self, extra_validators: dict | None = None) -> bool:
        """Validate each field, and that each has one value: of two neither is the right one."""
        valid = super().validate(extra_validators)
        for field in self:
            allows_several = isinstance(field, HiddenField | SelectMultipleField)
            if not allows_several and len(request.form.getlist(field.name)) > 1:
                field.errors = [f"{field.label.text}: send one value"]
                valid = False
        return valid

    def _join_lines(self) -> None:
        """Join the lines of each value, since an input shows only one; a text area shows all."""
        for field in self:
            if isinstance(field.data, str) and not isinstance(field, TextAreaField):
                field.data = " ".join(field.data.splitlines())

    def _show(self, raised: PortalError) -> None:
        errors = raised.errors if isinstance(raised, SeveralErrors) else [raised]
        for error in errors:
            if error.field is None or error.field not in self:
                raise error
            self[error.field].errors = [error.words]
            for name, value in error.suggestions.items():
                if name in self and not self[name].data:
                    self[name].data = value
            self.status = error.status


class DayInput(DateInput):
    """Shows only valid days again: HTML forbids other values, and browsers drop them."""

    def __call__(self, field: Field, **attributes: object) -> Markup:
        typed = field._value()
        return super().__call__(field, **{"value": typed if _is_day(typed) else "", **attributes})


def _is_day(typed: str) -> bool:
    try:
        return date.fromisoformat(typed).isoformat() == typed
    except ValueError:
        return False


class DayField(DateField):
    """A date whose error shows the format."""

    widget = DayInput()

    def process_formdata(self, valuelist: list[str]) -> None:
        try:
            super().process_formdata(valuelist)
        except ValueError as error:
            raise ValueError("Enter a day like 2027-01-31") from error


class _IdempotencyKeyField(HiddenField):
    """A new idempotency key each time the form is shown."""

    def _value(self) -> str:
        return secrets.token_urlsafe(16)


class IdempotentForm(Form):
    """A form that takes effect once, however often its button is pressed."""

    idempotency_key = _IdempotencyKeyField()
