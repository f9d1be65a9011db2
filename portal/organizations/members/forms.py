"""Forms of members and invitations. The services validate; a form shows their errors."""

from wtforms import EmailField, HiddenField, PasswordField, SelectField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import AnyOf

from portal.documents.memberships import Role
from portal.web.forms import IdempotentForm

_GRANTABLE = [
    SelectChoice(Role.VIEWER, "viewer – sees it"),
    SelectChoice(Role.ADMIN, "admin – also manages it"),
]
_GIVERS_ROLE = [SelectChoice(Role.OWNER, "an owner, too"), SelectChoice(Role.ADMIN, "an admin")]


class RoleForm(IdempotentForm):
    """Assigns a role."""

    role = SelectField("Role", choices=_GRANTABLE, default="", validate_choice=False)


class InviteForm(RoleForm):
    """Invites an address."""

    email = EmailField("E-mail address", default="")


class OfferForm(IdempotentForm):
    """Offers ownership; ``role`` is the giver's once it is accepted."""

    role = SelectField(
        "What you are then",
        [AnyOf([Role.OWNER, Role.ADMIN], "Choose what you are then")],
        choices=_GIVERS_ROLE,
        validate_choice=False,
    )


class AnswerForm(IdempotentForm):
    """Answers the offer that the page showed."""

    offer = HiddenField(default="")


class JoinForm(IdempotentForm):
    """Accepts an invitation. ``email`` is there for password managers; its input is ignored."""

    email = EmailField("E-mail address", default="")
    password = PasswordField("Password", default="")
