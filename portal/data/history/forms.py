"""Forms of the history. The services validate; a form shows their errors."""

from bson import ObjectId
from wtforms import BooleanField, FieldList, Form, FormField, HiddenField, SelectField, StringField
from wtforms.fields.choices import SelectChoice

from portal.data.history.errors import ActionMissing, PreviewMissing
from portal.data.history.field_changes import (
    KINDS,
    FieldChange,
    FieldChanges,
    RemoveField,
    RenameField,
    SetField,
    read_value,
)
from portal.web import forms as web_forms
from portal.web.template_filters import page_zone

LONGEST_REASON = 200
SHOWN_CHANGES = 3
_NO_CHANGE, _SET, _RENAME, _REMOVE = "", "set", "rename", "remove"


class ReasonForm(web_forms.IdempotentForm):
    """Asks why."""

    reason = StringField("Why", default="")

    @property
    def why(self) -> str | None:
        """The reason, if one was given."""
        return (self.reason.data or "").strip()[:LONGEST_REASON] or None


class EraseForm(ReasonForm):
    """Erases a document."""

    confirm_id = StringField("Its id", default="")


class SettingsForm(web_forms.IdempotentForm):
    """Says what the history keeps."""

    records_programs = BooleanField("Keep what programs write by the data API")


class ChangeRow(Form):
    """One change of a field."""

    action = SelectField(
        "Change",
        choices=[
            SelectChoice(_NO_CHANGE, "No change"),
            SelectChoice(_SET, "Set to"),
            SelectChoice(_RENAME, "Rename to"),
            SelectChoice(_REMOVE, "Remove"),
        ],
        default=_NO_CHANGE,
        validate_choice=False,
    )
    field = StringField("Field", default="")
    kind = SelectField(
        "Type",
        choices=[SelectChoice(kind, words) for kind, words in KINDS.items()],
        default="text",
        validate_choice=False,
    )
    value = StringField("Value or new name", default="")

    def change(self, zone: str) -> FieldChange | None:
        """The change, with a date in the ``zone``. Raises InvalidChange."""
        name, value = (self.field.data or "").strip(), self.value.data or ""
        match self.action.data:
            case "set":
                return SetField(name, read_value(self.kind.data, value, zone))
            case "rename":
                return RenameField(name, value.strip())
            case "remove":
                return RemoveField(name)
        if name or value:
            raise ActionMissing(name or "the field")
        return None


class ConfirmedForm(ReasonForm):
    """Confirms what is done to as many documents as were shown."""

    expected = HiddenField()
    edit = HiddenField()

    @property
    def confirmed(self) -> tuple[int, ObjectId]:
        """The number of documents that was shown, and the id of the edit. Raises InvalidChange."""
        expected, edit = self.expected.data or "", self.edit.data or ""
        if not (expected.isdecimal() and len(expected) < 16 and ObjectId.is_valid(edit)):
            raise PreviewMissing
        return int(expected), ObjectId(edit)


class DeleteForm(ConfirmedForm):
    """Deletes many documents."""

    changes = HiddenField()  # where it is told that they can't be


class ChangeForm(ConfirmedForm):
    """Changes many documents: first shown, then started with what was shown."""

    changes = FieldList(FormField(ChangeRow), min_entries=SHOWN_CHANGES, max_entries=10)
    step = HiddenField(default="preview")
    # Of what was typed: sent with it again, so that what is started is what was shown.
    zone = HiddenField(default=page_zone)

    @property
    def chosen(self) -> FieldChanges:
        """The changes that were typed. Raises InvalidChange."""
        rows = (row.form.change(self.zone.data or "") for row in self.changes)
        return FieldChanges(tuple(change for change in rows if change))

    @property
    def starts(self) -> bool:
        """True for the form of a preview that is confirmed."""
        return self.step.data == "start"
