"""Forms of limits."""

import re
from decimal import Decimal

from wtforms import HiddenField, StringField

from portal.documents.organizations import OwnLimits
from portal.organizations.usage.errors import InvalidLimit
from portal.organizations.usage.limits import LimitKind, Wanted
from portal.web.forms import IdempotentForm

_NUMBER = re.compile(r"([\d,\s]{1,30}(?:\.\d{1,6})?)\s*(k|m|g|t)?b?(?:\s*/\s*s)?", re.I)
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_SEPARATORS = re.compile(r"[,\s]")
_LONGEST_NUMBER = 19
_LONGEST_LIMIT = 60


class LimitsForm(IdempotentForm):
    """Sets the limits of an organization or a plan; an empty field is none."""

    documents = StringField("Documents", default="")
    bytes = StringField("Size", default="")
    operations = StringField("Operations a second", default="")
    seen = HiddenField(default="")

    def show(self, limits: OwnLimits | None) -> None:
        """Fill the form with what is set."""
        for kind in LimitKind:
            value = getattr(limits, kind) if limits else None
            self[kind].data = "" if value is None else written(kind, value)
        self.seen.data = seen_of(limits)

    def wanted(self) -> Wanted:
        """The limits that were typed. Raises InvalidLimit."""
        return {kind: parse_limit(kind, self[kind].data or "") for kind in LimitKind}

    def seen_limits(self) -> Wanted | None:
        """The limits as they were when the form was shown; ``None`` where that can't be told."""
        return seen_in(self.seen.data or "")


class PlanLimitsForm(LimitsForm):
    """Sets the limits of a plan, once it has told what that will do: ``planned`` is what was told
    of."""

    plan = StringField("Plan", default="")
    planned = HiddenField(default="")

    def asked(self) -> str:
        """The request, as a text that is another one for each plan and limits."""
        wanted = self.wanted()
        amounts = (str(wanted[kind]) for kind in LimitKind)
        return ",".join((self.plan.data or "", *amounts))


def seen_of(limits: OwnLimits | None) -> str:
    """The limits as a text, for a hidden field or an argument."""
    values = [getattr(limits, kind) if limits else None for kind in LimitKind]
    return ",".join("-" if value is None else str(value) for value in values)


def seen_in(text: str) -> Wanted | None:
    """The limits in such a text; ``None`` where it isn't one."""
    parts = text.split(",")
    if len(parts) != len(LimitKind):
        return None
    return {
        kind: int(part) if part.isdecimal() and len(part) <= _LONGEST_NUMBER else None
        for kind, part in zip(LimitKind, parts, strict=True)
    }


def parse_limit(kind: LimitKind, typed: str) -> int | None:
    """The limit that somebody typed: “10,000”, of bytes “20 GB”. Raises InvalidLimit."""
    text = typed.strip()
    if not text:
        return None
    found = _NUMBER.fullmatch(text) if len(text) <= _LONGEST_LIMIT else None
    if found is None:
        raise InvalidLimit(kind)
    number = _SEPARATORS.sub("", found[1])
    unit = (found[2] or "").lower()
    if not number or not number.isascii() or (unit and kind != LimitKind.BYTES):
        raise InvalidLimit(kind)
    value = Decimal(number) * _UNITS[unit]
    if value != value.to_integral_value():
        raise InvalidLimit(kind)
    return int(value)


def written(kind: LimitKind, value: int) -> str:
    """The limit as it may be typed."""
    if kind == LimitKind.BYTES:
        for unit in ("t", "g", "m", "k"):
            if value % _UNITS[unit] == 0:
                return f"{value // _UNITS[unit]:,} {unit.upper()}B"
    return f"{value:,}"
