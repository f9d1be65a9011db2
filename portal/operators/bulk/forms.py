"""Forms of actions on many organizations."""

from wtforms import IntegerField, RadioField, SelectField, StringField, TextAreaField
from wtforms.fields.choices import SelectChoice

from portal.documents.organizations import Restriction
from portal.documents.restrictions import Cause
from portal.operators.bulk.kinds import KINDS
from portal.operators.bulk.managing import PER_MINUTE
from portal.organizations.moving.planning import IN_WORDS
from portal.web.forms import IdempotentForm

THESE, ALL = "these", "all"
_STRATEGIES = [
    SelectChoice("", "what each is kept in now"),
    *(SelectChoice(strategy.value, words) for strategy, words in IN_WORDS.items()),
]


class BulkForm(IdempotentForm):
    """Plans an action on many organizations. Which ones stands in the address."""

    which = RadioField("Which", choices=[])
    action = RadioField(
        "What", choices=[SelectChoice(kind.name, kind.words) for kind in KINDS.values()]
    )
    plan = StringField("Plan", default="")
    text = TextAreaField("Note", default="")
    documents = StringField("Documents", default="")
    bytes = StringField("Size", default="")
    operations = StringField("Operations a second", default="")
    cluster = SelectField("To the cluster", choices=[], validate_choice=False)
    strategy = SelectField("Kept in", choices=_STRATEGIES, validate_choice=False)
    kind = SelectField("Suspended how", choices=list(Restriction), validate_choice=False)
    cause = SelectField("Cause", choices=list(Cause), validate_choice=False)
    contact = StringField("Whom members write to", default="")
    message = TextAreaField("To their members", default="")
    per_minute = IntegerField("At most so many a minute", default=PER_MINUTE)

    @property
    def arguments(self) -> dict[str, str]:
        """The arguments of the chosen action."""
        kind = KINDS.get(self.action.data)
        return {name: self[name].data or "" for name in (kind.arguments if kind else ())}


class StartForm(IdempotentForm):
    """Starts an action as planned, confirmed by the number of organizations."""

    confirm_count = StringField("Type the number to confirm", default="")

    @property
    def count(self) -> int | None:
        """The typed number, also with separators of thousands."""
        digits = (self.confirm_count.data or "").strip()
        for separator in (",", ".", "\N{NO-BREAK SPACE}", " ", "’", "'"):
            digits = digits.replace(separator, "")
        return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 12 else None
