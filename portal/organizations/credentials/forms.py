"""Forms of credentials. The services validate; a form shows their errors."""

from datetime import timedelta

from wtforms import BooleanField, RadioField, StringField
from wtforms.fields.choices import SelectChoice

from portal.documents.credentials import Reach
from portal.organizations.credentials.managing import OVERLAPS
from portal.web.forms import IdempotentForm

_UNTIL_ENDED = "until-ended"
_IN_WORDS = ("When I end it", "Now", "In 1 day", "In 7 days", "In 30 days")


def _value(overlap: timedelta | None) -> str:
    return _UNTIL_ENDED if overlap is None else str(int(overlap.total_seconds()))


_OVERLAPS = {_value(overlap): overlap for overlap in OVERLAPS}


class NewCredentialForm(IdempotentForm):
    """Makes a credential."""

    name = StringField("Name", default="")
    reach = RadioField(
        "What it may do with the documents",
        choices=[
            SelectChoice(Reach.READ, "Read"),
            SelectChoice(Reach.WRITE, "Read and write"),
        ],
        default=Reach.READ,
    )


class RotateForm(IdempotentForm):
    """Gives a credential a second user."""

    overlap = RadioField(
        "The old user stops working",
        choices=[
            SelectChoice(value, words) for value, words in zip(_OVERLAPS, _IN_WORDS, strict=True)
        ],
        default=_UNTIL_ENDED,
    )

    @property
    def chosen(self) -> timedelta | None:
        """The time for which the old user works alongside the new one."""
        return _OVERLAPS[self.overlap.data]


class EndOverlapForm(IdempotentForm):
    """Ends the user before the last rotation."""

    although_in_use = BooleanField("End it although it is in use")
