"""Forms of one organization in the console."""

from wtforms import HiddenField, StringField

from portal.organizations.forms import NameForm
from portal.web.forms import IdempotentForm


class PlannedNameForm(NameForm):
    """Renames or restores an organization, as planned."""

    plan = HiddenField(default="")


class PlannedForm(IdempotentForm):
    """Deletes or purges an organization as planned, confirmed by its name."""

    plan = HiddenField(default="")
    confirm_name = StringField("Type the name to confirm", default="")
