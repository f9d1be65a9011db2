"""Forms of accounts."""

from wtforms import EmailField, HiddenField, PasswordField, SelectField, StringField
from wtforms.validators import InputRequired

from portal.documents.accounts import Theme
from portal.identity.accounts.changing import time_zones
from portal.web.forms import Form, IdempotentForm

_CURRENT = "Enter your password"
_NEW = "Enter a new password"


def _zones() -> dict[str, str]:
    return {"": "That of the browser"} | {zone: zone.replace("_", " ") for zone in time_zones()}


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


class ProfileForm(Form):
    name = StringField("Name")
    time_zone = SelectField("Time zone", choices=_zones)
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
