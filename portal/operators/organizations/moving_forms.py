"""Forms of the move of one organization in the console."""

from wtforms import HiddenField, RadioField, TextAreaField
from wtforms.fields.choices import SelectChoice

from portal.documents.moves import Move
from portal.organizations.moving import starting
from portal.organizations.moving.options import Options, Switch
from portal.web.forms import IdempotentForm

_SWITCHES = {
    Switch.VERIFIED: "As soon as the copy is equal",
    Switch.IN_HOURS: "In the hours of the placement policy",
    Switch.ON_COMMAND: "When an operator says so",
}


class MoveForm(IdempotentForm):
    """Acts on the ``move`` that was shown."""

    move = HiddenField(default="")


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
