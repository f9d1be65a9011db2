"""Forms of second factors. Their rules are the services'; a form shows what those say."""

from wtforms import HiddenField, StringField

from portal.web.forms import Form, OnceForm


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
