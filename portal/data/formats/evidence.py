"""Evidence about a column: what all of its cells are, and what it may become."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from portal.data.formats.cells import FORMULA, FORMULA_SIGNS, PLAIN_NUMBER, unguarded
from portal.data.formats.csv_rows import shown
from portal.data.formats.dates import EPOCH, MONTHS, milliseconds_reader
from portal.data.formats.options import Column, ColumnType, Empty
from portal.data.formats.proofs import (
    LOOSE_NUMBER,
    OBJECT_ID,
    STYLES,
    UUID,
    WHOLE,
    Proof,
    Range,
    fitting_layouts,
    is_decimal,
    is_double,
    is_json,
    styled_number,
)

_MOST_WORDS = 12
_MOST_OTHER_WORDS = 3
_PAIRS = (
    ("true", "false"), ("yes", "no"), ("y", "n"), ("t", "f"), ("on", "off"), ("ja", "nein"),
    ("j", "n"), ("wahr", "falsch"), ("oui", "non"), ("vrai", "faux"), ("sí", "no"), ("si", "no"),
    ("verdadero", "falso"), ("sim", "não"), ("vero", "falso"), ("да", "нет"), ("tak", "nie"),
)  # fmt: skip
_LIKE_NULL = ("NA", "N/A", "n/a", "NULL", "null", "None", "nan", "NaN", "-")
_SIGN = re.compile(r"[.,'’ \u00a0\u202f]")
_TWO_NUMBERS = re.compile(r"([0-9]{1,2})[^0-9]([0-9]{1,2})[^0-9]")
_PLAIN = (".", "")
_MONTH = "|".join(rf"{name[:3]}(?:{name[3:]})?" for name in MONTHS)
_LIKE_DATE = re.compile(
    r"(?=.*(?<![0-9])(?:19|20)[0-9]{2}(?![0-9]))"
    rf"(?=.*(?:(?<![0-9])[0-9]{{1,2}}[-/. ][0-9]{{1,2}}(?![0-9])|\b(?:{_MONTH})\b)).{{6,60}}\Z",
    re.IGNORECASE,
)
_IDENTICAL = "All print back identically."


@dataclass(frozen=True, slots=True)
class Choice:
    """An answer to a question: its words, and what it changes in the column."""

    label: str
    change: Mapping[str, Any]

    def answered(self, column: Column) -> Column:
        """The column with this answer; words are added to those that it has."""
        change = dict(self.change)
        if "words" in change:
            change["words"] = {**(column.words or {}), **change["words"]}
        return replace(column, **change)


@dataclass(frozen=True, slots=True)
class Question:
    """A question that the cells can't decide: ``kind`` is ``day_order``, ``century``, ``number``,
    ``id``, ``json``, ``word``, ``dots`` or ``heading``."""

    kind: str
    words: str
    choices: tuple[Choice, ...]

    def chosen(self, answer: str) -> Choice | None:
        """The choice of this number; ``None`` for what is none."""
        numbers = map(str, range(len(self.choices)))
        return self.choices[int(answer)] if answer in numbers else None


@dataclass(frozen=True, slots=True)
class Reading:
    """A reading of a column's cells: changes of the column, what was found, in sentences, and
    what has to be asked."""

    change: Mapping[str, Any]
    found: tuple[str, ...] = ()
    questions: tuple[Question, ...] = ()


class Evidence:
    """Evidence of a column's cells, added in blocks; its size doesn't grow with them."""

    def __init__(self, zone: str) -> None:
        self.first, self._first_line = "", 0
        self.filled = self.empty = self.quoted = 0
        self._zone = zone
        self._guards = self._formulas = self._breaks = 0
        self._signed = ""  # the first cell with a sign of a number
        self._dated = ""  # the first date in which day and month aren't the same number
        self._null_words: Counter[str] = Counter()
        self._words: Counter[str] | None = Counter()
        self._whole, self._range = Proof(WHOLE), Range()
        self._numbers = {
            _PLAIN: Proof(is_decimal),
            **{style: Proof(styled_number(*style)) for style in STYLES},
        }
        self._double = Proof(is_double)
        self._loose = Proof(LOOSE_NUMBER.fullmatch)
        self._object_id, self._uuid, self._json = Proof(OBJECT_ID), Proof(UUID), Proof(is_json)
        self._dates: dict[str, Proof] = {}

    def add(self, cells: Sequence[str], lines: Sequence[int], quoted: int) -> None:
        """Take a block of cells into account."""
        empty = cells.count("")
        self.empty += empty
        self.quoted += quoted
        if empty:
            lines = [line for cell, line in zip(cells, lines, strict=True) if cell]
            cells = [cell for cell in cells if cell]
        if not cells:
            return
        cells = self._unguarded(cells)
        if not self.filled:
            self.first, self._first_line = cells[0], lines[0]
            self._dates = fitting_layouts(self.first)
        self.filled += len(cells)
        if self._dates and not self._dated:
            self._dated = next(filter(_tells_day_from_month, cells), "")
        self._count_words(cells)
        for proof in self._proofs():
            proof.add(cells, lines)
        if self._whole.holds:
            self._range.add(cells)
        elif not self._signed and self._loose.holds:
            self._signed = next((cell for cell in cells if _SIGN.search(cell)), "")

    def reading(self) -> Reading:
        """The reading that all cells allow."""
        change: dict[str, Any] = {"guarded": True} if self._is_guarded else {}
        reading = self._typed() if self.filled else Reading({})
        return replace(
            reading,
            change={**change, **reading.change},
            found=(*reading.found, *self._notes(reading)),
        )

    def _proofs(self) -> Iterator[Proof]:
        yield from (self._whole, self._double, self._loose)
        yield from (self._object_id, self._uuid, self._json)
        yield from self._numbers.values()
        yield from self._dates.values()

    @property
    def _is_guarded(self) -> bool:
        """True where all that a spreadsheet takes for a formula has a guard: else what looks like
        one is a part of the text."""
        return self._guards > 0 and not self._formulas

    def _unguarded(self, cells: Sequence[str]) -> Sequence[str]:
        for cell in cells:
            if cell[0] in FORMULA_SIGNS and not PLAIN_NUMBER.fullmatch(cell):
                self._formulas += 1
        guards = sum(1 for cell in cells if cell[0] == "'" and FORMULA.match(cell))
        if not guards:
            return cells
        self._guards += guards
        return [unguarded(cell) for cell in cells]

    def _count_words(self, cells: Sequence[str]) -> None:
        for word in _LIKE_NULL:
            if count := cells.count(word):
                self._null_words[word] += count
        self._breaks += sum("\n" in cell for cell in cells)
        if self._words is not None:
            self._words.update(cells)
            if len(self._words) > _MOST_WORDS:
                self._words = None

    def _typed(self) -> Reading:
        if self._object_id.holds:
            return self._as_object_id()
        if self._uuid.holds:
            return _asked("id", "All read as UUID.", ColumnType.UUID, "UUID")
        if self._json.holds:
            return _asked("json", "All read as JSON.", ColumnType.EJSON, "values in Extended JSON")
        if self._whole.holds:
            return self._as_whole()
        return self._as_number() or self._as_date() or self._as_boolean() or self._as_text()

    def _as_object_id(self) -> Reading:
        if self.first.isdigit() and self._numbers[_PLAIN].holds:
            words = "All have 24 digits, as an ObjectId and as a number."
            return _asked("id", words, ColumnType.OBJECT_ID, "ObjectId")
        return Reading({"type": ColumnType.OBJECT_ID}, ("All are 24 hexadecimal digits.",))

    def _as_whole(self) -> Reading:
        digits = max(len(str(abs(self._range.least))), len(str(abs(self._range.greatest))))
        found = f"{digits} digits; all print back identically." if digits > 1 else None
        kind = ColumnType.DECIMAL
        if self._range.fits(64):
            kind = ColumnType.INT32 if self._range.fits(32) else ColumnType.INT64
        return Reading({"type": kind}, (found,) if found else ())

    def _as_number(self) -> Reading | None:
        if self._double.holds and not self._numbers[_PLAIN].holds:  # some have exponents
            return Reading({"type": ColumnType.DOUBLE}, (_IDENTICAL,))
        readings: dict[str, tuple[str, str]] = {}
        for (point, group), proof in self._numbers.items():
            if proof.holds:
                plain = self._signed.replace(group, "") if group else self._signed
                readings.setdefault(plain.replace(point, "."), (point, group))
        made = {plain: self._numeric(style) for plain, style in readings.items()}
        if not made:
            return None
        [(plain, change), *others] = made.items()
        if others:
            choices = tuple(Choice(plain, change) for plain, change in made.items())
            words = f"Every row fits several signs. Is {shown(self._signed)} …"
            return Reading({}, (), (Question("number", words, choices),))
        found = _IDENTICAL
        if "point" in change:
            name = "comma" if change["point"] == "," else "point"
            found = f"Decimal {name} in every row; {shown(self._signed)} becomes {shown(plain)}."
        return Reading(change, (found,))

    def _numeric(self, style: tuple[str, str]) -> dict[str, Any]:
        if style == _PLAIN:
            return {"type": ColumnType.DOUBLE if self._double.holds else ColumnType.DECIMAL}
        return {"type": ColumnType.DECIMAL, "point": style[0], "group": style[1]}

    def _as_date(self) -> Reading | None:
        layouts = [layout for layout, proof in self._dates.items() if proof.holds]
        if not layouts:
            return None
        layout = layouts[0]
        change = self._as_dated(layout)
        other = _swapped(layout)
        found: tuple[str, ...] = ()
        questions: tuple[Question, ...] = ()
        if other != layout and other in layouts:
            if self._dated:
                questions = (self._day_order(layout, other),)
            else:
                found = ("Day and month are the same number in every row.",)
        elif other != layout:
            broken = self._dates.get(other) or Proof(str, self.first, self._first_line)
            order = "Day" if layout.find("D") < layout.find("M") else "Month"
            found = (f"{order} first: line {broken.line:,} has {shown(broken.broken_by or '')}. "
                     "One order for all rows.",)  # fmt: skip
        if not change["zone"] and self._zone != "UTC" and not layout.endswith("Z"):
            found = (*found, f"Each is 00:00 UTC, and shown and found by the time of {self._zone}.")
        if "YYYY" not in layout:
            text = Choice("text", {"type": ColumnType.STRING, "layout": "", "zone": ""})
            words = f"Years have two digits, as in {shown(self.first)}. Are they …"
            dated = Choice("1970 to 2069", {"type": ColumnType.DATE})
            questions = (*questions, Question("century", words, (dated, text)))
        if questions:
            return Reading({**change, "type": ColumnType.STRING}, found, questions)
        return Reading(change, found)

    def _as_dated(self, layout: str) -> dict[str, Any]:
        is_local = "H" in layout.upper() and not layout.endswith("Z")
        zone = self._zone if is_local else ""
        return {"type": ColumnType.DATE, "layout": layout, "zone": zone}

    def _day_order(self, layout: str, other: str) -> Question:
        choices = []
        for each in (layout, other):
            moment = EPOCH + timedelta(milliseconds=milliseconds_reader(each, "")(self._dated))
            choices.append(Choice(f"{moment.day} {moment:%B}", self._as_dated(each)))
        words = f"Every row fits both orders. Is {shown(self._dated)} …"
        return Question("day_order", words, tuple(choices))

    def _as_boolean(self) -> Reading | None:
        words = self._words or Counter()
        for true, false in _PAIRS:
            known = {word: word.lower() == true for word in words if word.lower() in (true, false)}
            others = [word for word in words if word not in known]
            is_pair = len(set(known.values())) == 2 or (known and true == "true")
            few = len(others) <= _MOST_OTHER_WORDS
            if is_pair and few and 2 * sum(words[word] for word in others) < self.filled:
                return self._boolean(words, known, others)
        return None

    def _boolean(self, words: Counter[str], known: dict[str, bool], others: list[str]) -> Reading:
        values = {word: "true" if value else "false" for word, value in known.items()}
        found = ", ".join(f"{word} is {value} {words[word]:,}" for word, value in values.items())
        questions = tuple(
            Question(
                "word",
                f"“{shown(word)}”, {_times(words[word])}, is …",
                tuple(
                    Choice(label, {"words": {word: value}})
                    for label, value in (
                        ("missing", Empty.MISSING.value),
                        ("null", Empty.NULL.value),
                        ("an error", Empty.ERROR.value),
                    )
                ),
            )
            for word in others
        )
        change = {"type": ColumnType.BOOLEAN, "words": values}
        return Reading(change, (f"{found}.",), questions)

    def _as_text(self) -> Reading:
        if self._loose.holds:
            broken = self._numbers[_PLAIN]
            cell = broken.broken_by or ""
            return Reading({}, (f"As a number line {broken.line:,} would change: {shown(cell)} to "
                                f"{_as_a_number(cell)}.",))  # fmt: skip
        if self._dates:
            broken = max(self._dates.values(), key=lambda proof: proof.line)
            if broken.line and broken.broken_by != self.first:
                return Reading({}, (f"As a date line {broken.line:,} is none: "
                                    f"{shown(broken.broken_by or '')}.",))  # fmt: skip
            return Reading({}, (f"As a date line {self._first_line:,} is none, or loses its "
                                f"offset: {shown(self.first)}.",))  # fmt: skip
        if _LIKE_DATE.match(self.first):
            return Reading({}, (f"Looks like dates; no layout reads line {self._first_line:,}: "
                                f"{shown(self.first)}.",))  # fmt: skip
        return Reading({})

    def _notes(self, reading: Reading) -> list[str]:
        notes = []
        if reading.change.get("type", ColumnType.STRING) == ColumnType.STRING:
            notes += [
                f"{word}, {_times(count)}, stays the text {word}."
                for word, count in self._null_words.items()
            ]
        if self._guards and self._formulas:
            notes.append(
                f"' before a formula’s sign, {_times(self._guards)}, stays, since other cells "
                "begin with such a sign."
            )
        elif self._guards:
            notes.append(
                f"' before a formula’s sign, {_times(self._guards)}, is the guard of an export for "
                "spreadsheets: taken off."
            )
        if self._breaks:
            notes.append(f"Line breaks in cells: {self._breaks:,}.")
        if self.quoted:
            notes.append(f"Empty in quotes, which is an empty text: {self.quoted:,}.")
        return notes


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _asked(kind: str, words: str, type_: ColumnType, label: str) -> Reading:
    choices = (Choice(label, {"type": type_}), Choice("text", {"type": ColumnType.STRING}))
    return Reading({}, (), (Question(kind, words, choices),))


def _tells_day_from_month(cell: str) -> bool:
    """Tell whether a date reads differently in the two orders."""
    found = _TWO_NUMBERS.match(cell)
    return found is not None and int(found[1]) != int(found[2])


def _swapped(layout: str) -> str:
    """The layout with day and month in the other order; itself for one that has one order."""
    if "MMM" in layout or layout.startswith("Y"):
        return layout
    date, space, time = layout.partition(" ")
    turned = date.translate(str.maketrans("DM", "MD"))
    return turned + space + time


def _as_a_number(cell: str) -> str:
    try:
        if "e" in cell.lower():
            return repr(float(cell))
        return shown(f"{Decimal(cell.replace(',', '')).normalize():f}")
    except (ArithmeticError, ValueError):  # more digits than an exponent counts, too
        return "none"
