"""The form by which an owner requires a second factor."""

from wtforms import BooleanField, StringField

from portal.web.forms import DayInput, Form


class RequirementForm(Form):
    """Says from when on a second factor is required, or that it is no longer."""

    starts_on = StringField("From", default="", widget=DayInput())
    lift = BooleanField()
