"""Forms of organizations. Their rules are the services'; a form shows what those say."""

from wtforms import EmailField, PasswordField, StringField

from portal.forms import Form


class NameForm(Form):
    """Names an organization."""

    organization_name = StringField("Name of the organization")


class SignUpForm(NameForm):
    """Signs an organization and its first owner up."""

    email = EmailField("Your e-mail address")
    password = PasswordField("Password")


class DeleteForm(Form):
    """Deletes an organization, after its name was typed."""

    confirm_name = StringField("Type the name to confirm")
