"""Forms of the move of one organization in the console."""

from wtforms import HiddenField, IntegerField, RadioField, TextAreaField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Optional

from portal.documents.moves import Move
from portal.organizations.forms import MoveForm
from portal.organizations.moving import starting
from portal.organizations.moving.options import Options, Switch, Throttle
from portal.settings.checks import LONGEST_WAY_BACK_DAYS
from portal.web.forms import IdempotentForm

_SWITCHES = {
    Switch.VERIFIED: "As soon as the copy is equal",
    Switch.IN_HOURS: "In the hours of the placement policy",
    Switch.ON_COMMAND: "When an operator says so",
}


class StartForm(IdempotentForm):
    """Starts a move as planned."""

    CHOICES = tuple(SelectChoice(switch.value, words) for switch, words in _SWITCHES.items())
    plan = HiddenField(default="")
    switch = RadioField(
        "When it switches",
        choices=CHOICES,
        default=Switch.VERIFIED.value,
    )

    @property
    def options(self) -> Options:
        """The way in which it is carried out."""
        return Options(Switch(self.switch.data))


class ApproveForm(MoveForm, StartForm):
    """Approves the ``move`` that owners have asked for, as planned."""

    switch = RadioField(
        "When it switches",
        choices=[
            SelectChoice(Switch.AT.value, "On the day that was asked for"),
            *StartForm.CHOICES,
        ],
        default=Switch.AT.value,
    )

    def options_for(self, requested: Move) -> Options:
        """The way in which the request is carried out."""
        if self.switch.data == Switch.AT:
            return starting.on_requested_day(requested, Options())
        return self.options


class DeclineForm(MoveForm):
    """Declines the ``move`` that owners have asked for."""

    reason = TextAreaField("Why", default="")


class ExtendForm(MoveForm):
    """Keeps a way back for so many days from now."""

    days = IntegerField(
        "Days from now",
        [InputRequired(f"Enter 1 to {LONGEST_WAY_BACK_DAYS} days")],
        default=LONGEST_WAY_BACK_DAYS,
    )


class ThrottleForm(MoveForm):
    """Changes how fast a move copies and compares."""

    documents_per_second = IntegerField("Documents a second, at most", [Optional()])
    neighbours_p99_ms = IntegerField("Neighbours’ p99 in milliseconds, at most", [Optional()])

    @property
    def throttle(self) -> Throttle:
        """The limits; without any it is as fast as it goes."""
        return Throttle(self.documents_per_second.data, self.neighbours_p99_ms.data)
