"""Forms of imports and exports. What a mapping decides is read by ``mapping``."""

from collections.abc import Sequence
from typing import Any

from wtforms import BooleanField, HiddenField, RadioField
from wtforms.fields.choices import SelectChoice

from portal.data.formats.options import Format, WriteOptions
from portal.data.reading import Count
from portal.data.transfer.exports import options_of
from portal.data.transfer.showing import fields_words
from portal.web.forms import Form

_FORMATS = {
    Format.CSV: "CSV, a row for each document",
    Format.JSON_LINES: "JSON lines, a document a line, as canonical Extended JSON",
    Format.JSON_ARRAY: "JSON, all documents as one array",
    Format.BSON: "BSON, to the byte, as mongodump writes it",
}


TYPED, UNTYPED, CHOSEN = "typed", "untyped", "chosen"
_FIELDS = {
    TYPED: "All fields, with their types: an import reads the same documents",
    UNTYPED: "All fields, without types, for people and other programs",
}


class TransferForm(Form):
    """Has a step done, which is one however often it is sent."""


class ExportForm(Form):
    """Says how documents are exported; ``columns`` are those that were seen before."""

    def __init__(self, columns: Sequence[str], **options: Any) -> None:
        super().__init__(**options)
        self._columns = tuple(dict.fromkeys(("_id", *columns))) if columns else ()
        if columns:
            seen = f"The columns you saw, without types: {fields_words(self._columns)}"
            self.fields.choices = [*self.fields.choices, SelectChoice(CHOSEN, seen)]

    expected = HiddenField()
    growing = BooleanField("Export also what is added until it starts")
    format = RadioField(
        "Format",
        choices=[SelectChoice(kind.value, words) for kind, words in _FORMATS.items()],
        default=Format.JSON_LINES.value,
    )
    fields = RadioField(
        "What CSV has",
        choices=[SelectChoice(value, words) for value, words in _FIELDS.items()],
        default=TYPED,
    )
    spreadsheet = BooleanField("CSV for a spreadsheet: “;” between cells, and a byte order mark")
    guarded = BooleanField(
        "CSV cells that would be formulas begin with ', which an import takes off", default=True
    )
    gzip = BooleanField("Packed with gzip")

    @property
    def options(self) -> WriteOptions:
        """The options by which the file is written. Raises ColumnsRefused."""
        return options_of(
            Format(self.format.data),
            gzip=bool(self.gzip.data),
            typed=self.fields.data == TYPED,
            guarded=bool(self.guarded.data),
            spreadsheet=bool(self.spreadsheet.data),
            fields=self._columns if self.fields.data == CHOSEN else (),
        )

    @property
    def known(self) -> int | None:
        """The number of documents that was shown, unless more may be exported too."""
        shown = self.expected.data or ""
        is_number = shown.isascii() and shown.isdecimal() and len(shown) < 16
        return int(shown) if is_number and not self.growing.data else None

    def show(self, count: Count | None) -> None:
        """Have the form carry the number that is shown."""
        self.expected.data = "" if count is None or count.more else str(count.count)
