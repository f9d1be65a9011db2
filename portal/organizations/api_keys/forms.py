"""Forms of API keys. The services validate; a form shows their errors."""

from datetime import timedelta

from wtforms import RadioField, SelectMultipleField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import Optional
from wtforms.widgets import CheckboxInput

from portal.documents.memberships import Role
from portal.organizations.api_keys.managing import OVERLAPS
from portal.permissions import FOR_API_KEYS, WORDS
from portal.web.forms import DayField, IdempotentForm

CHOSEN = "chosen"
_PERMISSIONS = [
    SelectChoice(name, words.capitalize()) for name, words in WORDS.items() if name in FOR_API_KEYS
]


class NewKeyForm(IdempotentForm):
    """Creates an API key."""

    name = StringField("Name", default="")
    grant = RadioField(
        "What it may do",
        choices=[
            SelectChoice(Role.VIEWER, "Look: what a viewer may"),
            SelectChoice(Role.ADMIN, "Change: what an admin may, but for documents"),
            SelectChoice(CHOSEN, "Only this:"),
        ],
        default=Role.VIEWER,
    )
    permissions = SelectMultipleField(
        "Permissions", choices=_PERMISSIONS, option_widget=CheckboxInput()
    )
    expires_on = DayField("Last day (optional)", [Optional()])

    @property
    def role(self) -> Role | None:
        """The chosen role, unless permissions were chosen."""
        return None if self.grant.data == CHOSEN else Role(self.grant.data)

    @property
    def chosen(self) -> list[str]:
        """The chosen permissions; empty with a role."""
        return (self.permissions.data or []) if self.grant.data == CHOSEN else []


class RotateForm(IdempotentForm):
    """Rotates an API key's secret."""

    overlap = RadioField(
        "The old secret stops working",
        choices=[
            SelectChoice(str(int(overlap.total_seconds())), words)
            for overlap, words in zip(
                OVERLAPS, ("Now", "In 1 hour", "In 1 day", "In 7 days"), strict=True
            )
        ],
        default=str(int(OVERLAPS[2].total_seconds())),
    )

    @property
    def chosen(self) -> timedelta:
        """The time for which the old secret works alongside the new one."""
        return timedelta(seconds=int(self.overlap.data))
