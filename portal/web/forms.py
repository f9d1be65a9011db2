"""What all forms have in common."""

import secrets
from collections.abc import Callable
from datetime import date
from typing import TypeVar

from flask import request
from flask_wtf import FlaskForm
from markupsafe import Markup
from werkzeug.datastructures import MultiDict
from wtforms import Field, HiddenField, SelectMultipleField
from wtforms.widgets import DateInput

from portal.errors import PortalError, SeveralErrors
from portal.web import requests
from portal.web.errors import DuplicateRequest
from portal.web.idempotency import find_record, key_of_form

KEY_FIELD = "idempotency_key"
SIGN_UPS = (
    "organizations.sign_up",
    "organizations.finish_sign_up",
    "invitations.follow",
)

Result = TypeVar("Result")


def take_key() -> None:
    """Note the key of a form that was sent, if it has one. Raises InvalidInput."""
    sent = request.form.getlist(KEY_FIELD) if request.method == "POST" else []
    if sent:
        typed = sent[0] if len(sent) == 1 else ""
        # Who signs up is somebody else afterwards, for the second click too.
        anonymous = request.endpoint in SIGN_UPS
        requests.take_idempotency_key(typed, KEY_FIELD, key_of_form, anonymous=anonymous)


class Form(FlaskForm):
    """A form that shows what the services say of it, at the field it concerns."""

    status = 200
    succeeded = False

    class Meta(FlaskForm.Meta):
        """Reads the fields of a form and nothing else: no files, no JSON."""

        def wrap_formdata(self, form: FlaskForm, formdata: object) -> MultiDict | None:
            return request.form if request.method == "POST" else None

    def submit(self, action: Callable[[], Result]) -> Result | None:
        """Call ``action`` if the form was sent and is complete; its result, or ``None``.

        Typed errors that belong to one of the fields become the message there, and the form's
        ``status`` is theirs; any other error is raised. Raises DuplicateRequest where the form was
        sent before, which may be why it is refused now.
        """
        if not self.is_submitted():
            return None
        if not self.validate():
            self.status = 422
            self._keep_on_one_line()
            return None
        try:
            result = action()
            self.succeeded = True
            return result
        except PortalError as error:
            if find_record(requests.idempotency_key()):
                raise DuplicateRequest from error
            self._tell(error)
            self._keep_on_one_line()
            return None

    def validate(self, extra_validators: dict | None = None) -> bool:
        """Each field on its own, and each sent once: of two values none is the right one."""
        valid = super().validate(extra_validators)
        for field in self:
            several = isinstance(field, HiddenField | SelectMultipleField)
            if not several and len(request.form.getlist(field.name)) > 1:
                field.errors = [f"{field.label.text}: send one value"]
                valid = False
        return valid

    def _keep_on_one_line(self) -> None:
        """What is shown again stands in inputs, which have one line."""
        for field in self:
            if isinstance(field.data, str):
                field.data = " ".join(field.data.splitlines())

    def _tell(self, refused: PortalError) -> None:
        errors = refused.errors if isinstance(refused, SeveralErrors) else [refused]
        for error in errors:
            if error.field is None or error.field not in self:
                raise error
            self[error.field].errors = [error.words]
            self.status = error.status


class DayInput(DateInput):
    """Shows again what is a day: browsers drop all else that was sent, and HTML forbids it."""

    def __call__(self, field: Field, **attributes: object) -> Markup:
        typed = field._value()
        return super().__call__(field, **{"value": typed if _is_day(typed) else "", **attributes})


def _is_day(typed: str) -> bool:
    try:
        return date.fromisoformat(typed).isoformat() == typed
    except ValueError:
        return False


class _KeyField(HiddenField):
    """Another key each time that the form is shown."""

    def _value(self) -> str:
        return secrets.token_urlsafe(16)


class OnceForm(Form):
    """A form that does once what it is for, however often its button is pressed."""

    idempotency_key = _KeyField()
