"""Forms of support access. The services validate; a form shows their errors."""

from wtforms import RadioField, StringField
from wtforms.fields.choices import SelectChoice

from portal.organizations.support.grants import HOURS
from portal.web.forms import IdempotentForm

_IN_WORDS = ("1 hour", "4 hours", "8 hours", "1 day", "3 days")
_WITH, _WITHOUT = "with", "without"


class GrantForm(IdempotentForm):
    """Says what is shown, and for how long."""

    documents = RadioField(
        "What is shown",
        choices=[
            SelectChoice(_WITHOUT, "Everything but documents"),
            SelectChoice(_WITH, "Everything, documents too; sensitive fields stay hidden"),
        ],
        default=_WITHOUT,
    )
    hours = RadioField(
        "For how long",
        choices=[
            SelectChoice(str(hours), words) for hours, words in zip(HOURS, _IN_WORDS, strict=True)
        ],
        default=str(HOURS[1]),
    )

    @property
    def with_documents(self) -> bool:
        """True where documents are shown too."""
        return self.documents.data == _WITH

    def begin_with(self, hours: int, *, with_documents: bool) -> None:
        """Fill in what was asked for, unless the form was submitted."""
        if not self.is_submitted():
            self.documents.data = _WITH if with_documents else _WITHOUT
            # No more than that, where it isn't among those that are offered.
            self.hours.data = str(max(offered for offered in HOURS if offered <= hours))


class ReasonedGrantForm(GrantForm):
    """Says why as well."""

    reason = StringField("Why", default="")
