"""Forms of members and invitations. Their rules are the services'; a form shows what those say."""

from wtforms import EmailField, HiddenField, PasswordField, SelectField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import AnyOf

from portal.documents.memberships import Role
from portal.web.forms import OnceForm

_GIVEN = [
    SelectChoice(Role.VIEWER, "viewer – sees it"),
    SelectChoice(Role.ADMIN, "admin – also manages it"),
]
_AFTER_AN_OFFER = [SelectChoice(Role.OWNER, "an owner, too"), SelectChoice(Role.ADMIN, "an admin")]


class RoleForm(OnceForm):
    """Gives a role."""

    role = SelectField("Role", choices=_GIVEN, default="", validate_choice=False)


class InviteForm(RoleForm):
    """Invites an address."""

    email = EmailField("E-mail address", default="")


class OfferForm(OnceForm):
    """Offers ownership, and says what the giver is afterwards."""

    role = SelectField(
        "What you are then",
        [AnyOf([Role.OWNER, Role.ADMIN], "Choose what you are then")],
        choices=_AFTER_AN_OFFER,
        validate_choice=False,
    )


class AnswerForm(OnceForm):
    """Answers the offer that was seen."""

    offer = HiddenField(default="")


class JoinForm(OnceForm):
    """Accepts an invitation. The address is the invitation's, whatever was sent: it is there for
    password managers."""

    email = EmailField("E-mail address", default="")
    password = PasswordField("Password", default="")
