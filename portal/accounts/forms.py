"""Forms of accounts."""

from wtforms import EmailField, HiddenField, PasswordField
from wtforms.validators import InputRequired

from portal.forms import Form


class LogInForm(Form):
    """Logs in."""

    email = EmailField("E-mail address", [InputRequired("Enter your e-mail address")])
    password = PasswordField("Password", [InputRequired("Enter your password")])
    next = HiddenField(default="")
