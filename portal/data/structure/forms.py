"""Forms of indexes and rules. The services validate; a form shows their errors."""

from collections.abc import Iterator
from typing import Any

from wtforms import BooleanField, Field, HiddenField, RadioField, SelectField, StringField
from wtforms.fields import TextAreaField
from wtforms.fields.choices import SelectChoice

from portal.data import queries
from portal.data.errors import InvalidExtendedJson, InvalidQuery
from portal.data.indexes.listing import LANGUAGES, IndexSpec
from portal.data.rules.rules import MODERATE, REFUSE, STRICT, WARN, Known
from portal.data.rules.schemas import text_of
from portal.data.structure.errors import (
    FilterNotParsed,
    NamedTwice,
    NoFieldNamed,
    NoSuchPeriod,
    NotBuilt,
)
from portal.web.forms import Form, IdempotentForm

MOST_FIELDS = 6
FIND, UNIQUE, EXPIRE, TEXT = "find", "unique", "expire", "text"
ALL, HAVING, SPARSE, MATCHING = "all", "having", "sparse", "matching"
_UNITS = {"days": 86400, "hours": 3600, "minutes": 60, "seconds": 1}
_LONGEST_NUMBER = 9
_ORDERS = [SelectChoice("1", "up"), SelectChoice("-1", "down")]


class NewIndexForm(IdempotentForm):
    """Builds an index. Of MOST_FIELDS fields those are shown that are filled in, and one more."""

    purpose = RadioField(
        "What for",
        choices=[
            SelectChoice(FIND, "Finding and sorting"),
            SelectChoice(UNIQUE, "Unique: no two documents alike"),
            SelectChoice(EXPIRE, "Deleting by itself, so long after a date"),
            SelectChoice(TEXT, "Words in texts"),
        ],
        default=FIND,
    )
    after = StringField("Delete after", default="")
    unit = SelectField(
        "Unit", choices=[SelectChoice(unit, unit) for unit in _UNITS], default="days"
    )
    language = SelectField(
        "Language of the texts",
        choices=[
            SelectChoice(name, "any, words as they are" if name == "none" else name.capitalize())
            for name in LANGUAGES
        ],
        default="none",
    )
    which = RadioField(
        "Which documents",
        choices=[
            SelectChoice(ALL, "All of them"),
            SelectChoice(HAVING, "Only those that have the fields"),
            SelectChoice(SPARSE, "Only those that have at least one of the fields"),
            SelectChoice(MATCHING, "Only those that match a filter"),
        ],
        default=ALL,
    )
    filter = StringField("Filter", default="")
    deletes = BooleanField("Delete them")

    def pairs(self) -> Iterator[tuple[Field, Field]]:
        """The fields that are shown, each with its order."""
        filled = [n for n in range(1, MOST_FIELDS + 1) if self[f"field_{n}"].data]
        shown = max([2, *(n + bool(self.more.data) for n in filled)])
        for n in range(1, min(shown, MOST_FIELDS) + 1):
            yield self[f"field_{n}"], self[f"order_{n}"]

    more = HiddenField()

    @property
    def has_room(self) -> bool:
        """True where another field may be added."""
        return len(list(self.pairs())) < MOST_FIELDS

    def spec(self) -> IndexSpec:
        """The index that is asked for. Raises NotBuilt."""
        keys: dict[str, Any] = {}
        for n in range(1, MOST_FIELDS + 1):
            name = (self[f"field_{n}"].data or "").strip()
            if name in keys:
                raise NamedTwice(name, f"field_{n}")
            if name:
                order = int(self[f"order_{n}"].data)
                keys[name] = "text" if self.purpose.data == TEXT else order
        if not keys:
            raise NoFieldNamed
        return IndexSpec(
            keys,
            unique=self.purpose.data == UNIQUE,
            sparse=self.which.data == SPARSE,
            partial_filter=self._partial(keys),
            expire_after_seconds=self._seconds() if self.purpose.data == EXPIRE else None,
            default_language=self.language.data if self.purpose.data == TEXT else None,
        )

    def _seconds(self) -> int:
        typed = (self.after.data or "").strip()
        if not typed.isascii() or not typed.isdecimal() or len(typed) > 10:
            raise NoSuchPeriod
        return int(typed) * _UNITS[self.unit.data]

    def _partial(self, keys: dict[str, Any]) -> dict[str, Any] | None:
        if self.which.data == HAVING:
            return {name: {"$exists": True} for name in keys}
        if self.which.data != MATCHING:
            return None
        try:
            return queries.parse_query(self.filter.data or "")
        except InvalidExtendedJson as error:
            raise FilterNotParsed(*next(iter(error.fields.items()))) from error
        except InvalidQuery as error:
            raise NotBuilt(error.reason, "filter") from error


for _n in range(1, MOST_FIELDS + 1):
    setattr(NewIndexForm, f"field_{_n}", StringField(f"Field {_n}", default=""))
    setattr(NewIndexForm, f"order_{_n}", SelectField("Order", choices=_ORDERS, default="1"))


def args_of(spec: IndexSpec) -> dict[str, str]:
    """The parameters of a URL that fill in the form for an index like this."""
    args: dict[str, str] = {}
    for n, (name, kind) in enumerate(list(spec.keys.items())[:MOST_FIELDS], 1):
        args |= {f"field_{n}": name, f"order_{n}": "-1" if kind == -1 else "1"}
    if "text" in spec.keys.values():
        args |= {"purpose": TEXT, "language": spec.default_language or "none"}
    elif spec.expire_after_seconds is not None:
        args |= {"purpose": EXPIRE, "after": str(spec.expire_after_seconds), "unit": "seconds"}
    elif spec.unique:
        args |= {"purpose": UNIQUE}
    if spec.partial_filter is not None:
        args |= {"which": MATCHING, "filter": text_of(spec.partial_filter)}
    elif spec.sparse:
        args |= {"which": SPARSE}
    return args


class IndexForm(IdempotentForm):
    """Hides, shows, drops or forgets an index."""


class TriedRulesForm(Form):
    """A schema that is edited and tried."""

    schema = TextAreaField("JSON Schema")


class RulesForm(IdempotentForm):
    """Puts rules into force, which so many documents are known to break."""

    schema = HiddenField()
    breaking = HiddenField()
    sampled = HiddenField()
    level = RadioField(
        "For documents that break them",
        choices=[
            SelectChoice(MODERATE, "Leave them be until they fit once"),
            SelectChoice(STRICT, "Refuse every later write to them"),
        ],
        default=MODERATE,
    )
    action = RadioField(
        "A write that breaks them",
        choices=[
            SelectChoice(REFUSE, "is refused"),
            SelectChoice(WARN, "is let through, and counted here"),
        ],
        default=REFUSE,
    )

    @property
    def known(self) -> Known | None:
        """The number of documents that break them, as the page that was sent told it."""
        breaking = _whole(self.breaking.data)
        return None if breaking is None else Known(breaking, _whole(self.sampled.data))


def _whole(text: str | None) -> int | None:
    short = text and text.isascii() and text.isdecimal() and len(text) <= _LONGEST_NUMBER
    return int(text) if text and short else None
