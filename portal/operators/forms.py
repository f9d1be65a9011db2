"""Forms of the operators themselves."""

from wtforms import EmailField, HiddenField, PasswordField, RadioField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired

from portal.documents.accounts import OperatorRole
from portal.documents.api_keys import OPERATOR_KEY_ROLES
from portal.web.forms import DayField, IdempotentForm

_ROLES = {
    OperatorRole.SUPPORT: "support: sees everything but documents, changes nothing",
    OperatorRole.OPERATOR: "operator: acts on organizations and people as well",
    OperatorRole.ADMIN: "operator-admin: names operators and makes keys as well",
}


class RoleForm(IdempotentForm):
    role = RadioField("Role", choices=[SelectChoice(*each) for each in _ROLES.items()])


class NewOperatorForm(IdempotentForm):
    email = EmailField("E-mail address", [InputRequired("Enter their e-mail address")])
    role = RadioField(
        "Role",
        choices=[SelectChoice(*each) for each in _ROLES.items()],
        default=OperatorRole.SUPPORT,
    )


class NewOperatorKeyForm(IdempotentForm):
    name = StringField("Name", default="")
    role = RadioField(
        "Role",
        choices=[SelectChoice(role, _ROLES[role]) for role in OPERATOR_KEY_ROLES],
        default=OperatorRole.SUPPORT,
    )
    expires_on = DayField("Last day", [InputRequired("Choose a last day, like 2027-01-31")])


class EnterForm(IdempotentForm):
    """Creates an account by a one-time link; with the address where the link has none."""

    token = HiddenField()
    email = EmailField("E-mail address")
    password = PasswordField("New password", [InputRequired("Enter a new password")])


class AcceptForm(IdempotentForm):
    """Has the account that is logged in take a one-time link."""

    token = HiddenField()
