"""Forms of accounts."""

from functools import cache

from markupsafe import Markup
from wtforms import EmailField, HiddenField, PasswordField, SelectField, StringField
from wtforms.fields.choices import Choice
from wtforms.validators import InputRequired
from wtforms.widgets import Select, html_params

from portal.documents.accounts import Theme
from portal.identity.accounts.changing import time_zones
from portal.web.forms import Form, IdempotentForm

_CURRENT = "Enter your password"
_NEW = "Enter a new password"


@cache
def _zones() -> dict[str, str]:
    return {"": "That of the browser"} | {zone: zone.replace("_", " ") for zone in time_zones()}


def _option(zone: str, *, selected: bool) -> str:
    return Select.render_option(Choice(zone, _zones()[zone], selected, render_kw={}))


@cache
def _options() -> dict[str, str]:
    return {zone: _option(zone, selected=False) for zone in _zones()}


class _TimeZoneInput(Select):
    """Renders its hundreds of options once."""

    def __call__(self, field: SelectField, **attributes: object) -> Markup:
        attributes.setdefault("id", field.id)
        options = _options()
        if field.data in options:
            options = {**options, field.data: _option(field.data, selected=True)}
        opening = f"<select {html_params(name=field.name, **attributes)}>"
        return Markup(f"{opening}{''.join(options.values())}</select>")  # noqa: S704 (escaped above)


class ForgotForm(Form):
    email = EmailField("E-mail address", [InputRequired("Enter your e-mail address")])


class NewPasswordForm(IdempotentForm):
    token = HiddenField()
    password = PasswordField("New password", [InputRequired(_NEW)])


class VerifyForm(IdempotentForm):
    token = HiddenField()
    password = PasswordField("Password", [InputRequired("Enter your password, or a new one")])


class ConfirmAddressForm(IdempotentForm):
    token = HiddenField()
    current_password = PasswordField("Password", [InputRequired(_CURRENT)])


class KeepFactorsForm(IdempotentForm):
    token = HiddenField()


class ProfileForm(Form):
    name = StringField("Name")
    time_zone = SelectField("Time zone", choices=_zones, widget=_TimeZoneInput())
    theme = SelectField(
        "Theme",
        choices={Theme.AUTO: "As the system has it", Theme.LIGHT: "Light", Theme.DARK: "Dark"},
    )


class AddressForm(IdempotentForm):
    email = EmailField("New e-mail address", [InputRequired("Enter the new e-mail address")])
    current_password = PasswordField("Password", [InputRequired(_CURRENT)])


class PasswordForm(IdempotentForm):
    current_password = PasswordField("Current password", [InputRequired(_CURRENT)])
    password = PasswordField("New password", [InputRequired(_NEW)])


class CloseForm(IdempotentForm):
    confirm_email = StringField("Your e-mail address", [InputRequired("Type your e-mail address")])
    current_password = PasswordField("Password", [InputRequired(_CURRENT)])
