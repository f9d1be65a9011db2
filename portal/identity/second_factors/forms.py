"""Forms of second factors. The services check what they hold."""

from wtforms import HiddenField, StringField

from portal.web.forms import Form, IdempotentForm


class CodeForm(IdempotentForm):
    code = StringField("Code", default="")


class PasskeyForm(IdempotentForm):
    """Adds a named passkey; the browser fills in the device's credential."""

    passkey_name = StringField("Name", default="")
    credential = HiddenField(default="")


class NameForm(Form):
    passkey_name = StringField("Name", default="")
