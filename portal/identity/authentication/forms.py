"""Forms of logging in, its second step, and re-authentication."""

from wtforms import BooleanField, EmailField, HiddenField, PasswordField, StringField
from wtforms.validators import InputRequired

from portal.web.forms import Form, IdempotentForm


class LogInForm(Form):
    email = EmailField("E-mail address", [InputRequired("Enter your e-mail address")])
    password = PasswordField("Password", [InputRequired("Enter your password")])
    next = HiddenField(default="")


class SecondFactorForm(IdempotentForm):
    code = StringField("Code", default="")
    credential = HiddenField(default="")
    trust = BooleanField("Remember this browser for 30 days")


class PasskeyLogInForm(IdempotentForm):
    credential = HiddenField(default="")


class ConfirmForm(IdempotentForm):
    current_password = PasswordField("Password", default="")
    code = StringField("Code", default="")
    credential = HiddenField(default="")
