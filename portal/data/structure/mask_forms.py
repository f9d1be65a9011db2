"""Forms of sensitive fields. The services validate; a form shows their errors."""

from wtforms import StringField

from portal.web.forms import IdempotentForm


class PathForm(IdempotentForm):
    """Names a field by its path."""

    path = StringField("Field", default="")
