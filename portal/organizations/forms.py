"""Forms of organizations. Their rules are the services'; a form shows what those say.

A field that was not sent at all is one left empty.
"""

from wtforms import EmailField, HiddenField, PasswordField, StringField

from portal.web.forms import OnceForm


class NameForm(OnceForm):
    """Names an organization."""

    organization_name = StringField("Name of the organization", default="")


class SignUpForm(NameForm):
    """Signs an organization and its first owner up."""

    email = EmailField("Your e-mail address", default="")
    password = PasswordField("Password", default="")


class FinishSignUpForm(SignUpForm):
    """Finishes a sign-up. The address is the one that the link in ``token`` was sent to."""

    token = HiddenField(default="")


class ConfirmForm(OnceForm):
    """Deletes or purges an organization, after its name was typed."""

    confirm_name = StringField("Type the name to confirm", default="")
