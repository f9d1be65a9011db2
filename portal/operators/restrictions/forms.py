"""Forms of suspensions and legal holds."""

from wtforms import BooleanField, RadioField, SelectField, StringField
from wtforms.fields import SelectChoice
from wtforms.validators import Optional

from portal.documents.organizations import Restriction
from portal.documents.restrictions import Cause
from portal.web.forms import DayField, IdempotentForm

KINDS = {
    Restriction.READ_ONLY: "Read-only: documents can be read and exported, not changed",
    Restriction.LOCKED: "Locked: nobody reaches it; members see why, and whom to write to",
    Restriction.HIDDEN: "Hidden: to members and programs it isn’t there (404)",
}
CAUSES = {
    Cause.PAYMENT: "Payment",
    Cause.ABUSE: "Abuse",
    Cause.SECURITY: "Security",
    Cause.LEGAL: "Legal",
    Cause.REQUEST: "On request of the customer",
    Cause.OTHER: "Something else",
}


class SuspendForm(IdempotentForm):
    """Suspends an organization."""

    kind = RadioField(
        "What it takes",
        choices=[SelectChoice(*each) for each in KINDS.items()],
        default=Restriction.READ_ONLY,
    )
    cause = SelectField("Cause", choices=[SelectChoice(*each) for each in CAUSES.items()])
    contact = StringField("Whom members write to", default="")
    message = StringField("What members are told (optional)", default="")
    note = StringField("Note for operators (optional)", default="")


class HoldForm(IdempotentForm):
    """Sets a legal hold."""

    reason = StringField("Why", default="")
    until = DayField("Look at it again on (optional)", validators=[Optional()])
    read_only = BooleanField("Make it read-only as well")
    contact = StringField("Whom members write to about that (optional)", default="")
