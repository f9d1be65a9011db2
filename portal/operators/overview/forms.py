"""Forms of the console's first pages."""

from wtforms import IntegerField, TextAreaField
from wtforms.validators import DataRequired, NumberRange
from wtforms.widgets import HiddenInput

from portal.web.forms import IdempotentForm


class PolicyForm(IdempotentForm):
    """Puts a placement policy into force, in place of the ``version`` that was shown."""

    text = TextAreaField("Policy", [DataRequired("Write a policy")])
    version = IntegerField(widget=HiddenInput(), validators=[NumberRange(min=0)])
