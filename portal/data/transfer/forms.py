"""Forms of imports and exports. What a mapping decides is read by ``mapping``."""

from wtforms import BooleanField, RadioField
from wtforms.fields.choices import SelectChoice

from portal.data.formats.options import Format, WriteOptions
from portal.web.forms import Form

_FORMATS = {
    Format.CSV: "CSV, a row for each document",
    Format.JSON_LINES: "JSON lines, a document a line, as canonical Extended JSON",
    Format.JSON_ARRAY: "JSON, all documents as one array",
    Format.BSON: "BSON, to the byte, as mongodump writes it",
}


class TransferForm(Form):
    """Has a step done, which is one however often it is sent."""


class ExportForm(Form):
    """Says how documents are exported."""

    format = RadioField(
        "Format",
        choices=[SelectChoice(kind.value, words) for kind, words in _FORMATS.items()],
        default=Format.JSON_LINES.value,
    )
    spreadsheet = BooleanField("CSV for a spreadsheet: “;” between cells, and a byte order mark")
    guarded = BooleanField(
        "CSV cells that would be formulas begin with ', which an import takes off", default=True
    )
    gzip = BooleanField("Packed with gzip")

    @property
    def options(self) -> WriteOptions:
        """The options by which the file is written."""
        sheet = bool(self.spreadsheet.data)
        return WriteOptions(
            Format(self.format.data),
            gzip=bool(self.gzip.data),
            guarded=bool(self.guarded.data),
            delimiter=";" if sheet else ",",
            spreadsheet=sheet,
        )
