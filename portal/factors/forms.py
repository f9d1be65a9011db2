"""Forms of second factors. Their rules are the services'; a form shows what those say."""

from wtforms import BooleanField, HiddenField, PasswordField, StringField

from portal.web.forms import DayInput, Form, OnceForm


class CodeForm(OnceForm):
    """Confirms an authenticator app by its first code."""

    code = StringField("Code", default="")


class PasskeyForm(OnceForm):
    """Adds a passkey under a name; the browser puts into it what the device made."""

    passkey_name = StringField("Name", default="")
    credential = HiddenField(default="")


class NameForm(Form):
    """Names a passkey."""

    passkey_name = StringField("Name", default="")


class SecondFactorForm(Form):
    """Finishes a log-in, by what was typed or by what a passkey signed."""

    code = StringField("Code", default="")
    credential = HiddenField(default="")
    trust = BooleanField("Remember this browser for 30 days")


class PasskeyLogInForm(Form):
    """Logs in by a passkey alone."""

    credential = HiddenField(default="")


class ConfirmForm(Form):
    """Confirms who sits there, by one of three."""

    current_password = PasswordField("Password", default="")
    code = StringField("Code", default="")
    credential = HiddenField(default="")


class RequirementForm(Form):
    """Says from when on a second factor is required, or that it is no longer."""

    starts_on = StringField("From", default="", widget=DayInput())
    lift = BooleanField()
