"""Forms of operators' work on people's accounts."""

from wtforms import TextAreaField
from wtforms.validators import InputRequired

from portal.web.forms import IdempotentForm


class BlockForm(IdempotentForm):
    reason = TextAreaField("Why", [InputRequired("Say why: other operators read it")], default="")
