"""The form by which an owner requires a second factor."""

from wtforms import BooleanField, StringField

from portal.web.forms import DayInput, Form


class RequirementForm(Form):
    """Sets the first day of the requirement, or lifts it."""

    starts_on = StringField("From", default="", widget=DayInput())
    lift = BooleanField()
