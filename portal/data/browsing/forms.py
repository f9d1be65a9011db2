"""Forms of views of documents. The services validate; a form shows their errors."""

from wtforms import HiddenField, RadioField, StringField
from wtforms.fields.choices import SelectChoice

from portal.web.forms import IdempotentForm

OWN, SHARED = "own", "shared"


class NewViewForm(IdempotentForm):
    """Keeps a view."""

    name = StringField("Name", default="")
    whose = RadioField(
        "For whom",
        choices=[
            SelectChoice(OWN, "Only me"),
            SelectChoice(SHARED, "Everyone who reads documents"),
        ],
        default=OWN,
    )


class ViewForm(IdempotentForm):
    """Changes a view that was read in this ``version``."""

    name = StringField("Name", default="")
    version = HiddenField()

    @property
    def read_version(self) -> int:
        """The version that was read; 0 for what is none."""
        typed = self.version.data or ""
        return int(typed) if typed.isdecimal() and len(typed) < 10 else 0
