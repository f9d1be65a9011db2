"""Forms of organizations. The services validate; a form shows their errors.

A missing field counts as empty.
"""

from wtforms import (
    BooleanField,
    EmailField,
    HiddenField,
    PasswordField,
    RadioField,
    StringField,
)

from portal.web.forms import DayField, IdempotentForm


class NameForm(IdempotentForm):
    """Names an organization."""

    organization_name = StringField("Name of the organization", default="")
    slug = StringField("Address", default="")

    @property
    def typed_slug(self) -> str | None:
        """The slug, if one was typed."""
        return (self.slug.data or "").strip() or None


class NewOrganizationForm(NameForm):
    """Creates an organization for an account that exists."""

    viewers_read_documents = BooleanField("Viewers may read its documents")


class SignUpForm(NewOrganizationForm):
    """Signs an organization and its first owner up."""

    email = EmailField("Your e-mail address", default="")
    password = PasswordField("Password", default="")


class FinishSignUpForm(SignUpForm):
    """Finishes a sign-up. ``email`` is the address that the link in ``token`` was sent to."""

    token = HiddenField(default="")


class ViewersForm(IdempotentForm):
    """Says what viewers may beyond their role."""

    viewers_read_documents = BooleanField("Viewers may read its documents")


class ConfirmForm(IdempotentForm):
    """Deletes or purges an organization, confirmed by its name."""

    confirm_name = StringField("Type the name to confirm", default="")


class AdoptForm(ConfirmForm):
    """Takes over the collection with the ``uuid`` that was shown, confirmed likewise."""

    uuid = HiddenField(default="")


class MoveForm(IdempotentForm):
    """Acts on the ``move`` that was shown."""

    move = HiddenField(default="")


class RequestMoveForm(IdempotentForm):
    """Asks for a move to another region."""

    region = RadioField("Where to", choices=[])
    day = DayField("Not before this day")
