"""Errors of the history, with their words."""

from dataclasses import dataclass

from portal.errors import Conflict, Gone, Invalid, NotFound


class EditNotFound(NotFound):
    """No edit has this id, or it was longer ago than edits are kept."""

    code = "edit_not_found"
    message = "No edit has this id: edits are kept for 30 days. Nothing was changed."


class EditNotKept(Gone):
    """The before-images of an edit made room for later ones."""

    code = "edit_not_kept"
    title = "This can’t be undone any more"
    message = (
        "What was before this edit is not kept any more: it made room for later edits. Nothing was "
        "changed."
    )


class EditRunning(Conflict):
    """The edit is not at its end."""

    code = "edit_running"
    title = "It is not at its end"
    message = "This edit still runs. Wait for its end, or cancel it. Nothing was changed."


class AlreadyUndone(Conflict):
    """The edit was undone as a whole, or can't be by its kind."""

    code = "already_undone"
    title = "There is nothing to undo"
    message = "This was undone already, or nothing of it is kept. Nothing was changed."


@dataclass
class MoreMatch(Conflict):
    """More documents match than were confirmed."""

    count: int
    expected: int

    code = "more_match"
    field = "expected"
    title = "More documents match now"
    message = (
        "{count} documents match now, {expected} did when you looked. Nothing was changed: look at "
        "it again."
    )


class InvalidChange(Invalid):
    """A change of many documents that can't be made."""

    code = "invalid_change"
    field = "changes"
    title = "This change can’t be made"
    message = "Correct this change."


@dataclass
class WrongNumberOfChanges(InvalidChange):
    """No change, or more than are made together."""

    most: int

    message = "Choose 1 to {most} changes."


class FieldMissing(InvalidChange):
    """No field is named, or by too many characters."""

    message = "Name a field."


class IdChanged(InvalidChange):
    """The field is a document's id, or in it."""

    message = "The _id of a document stays."


@dataclass
class NewNameMissing(InvalidChange):
    """A field is to be renamed, and no name is given that it may have."""

    name: str

    message = "Choose a new name for {name}."


@dataclass
class FieldChangedTwice(InvalidChange):
    """Two changes are of one field, or of one in the other."""

    name: str

    message = "Choose one change of {name}."


@dataclass
class ActionMissing(InvalidChange):
    """A change is begun, and isn't said to be any."""

    name: str

    message = "Choose what to do with {name}."


class TypeMissing(InvalidChange):
    """The type of a value is none that there is."""

    message = "Choose a type."


@dataclass
class ValueOfAnotherType(InvalidChange):
    """The typed text stands for no value of its type."""

    typed: str
    type_in_words: str

    message = "“{typed}” is no {type_in_words}."


@dataclass
class ChangeRefused(InvalidChange):
    """A field or value that no query can have, in the words of that rule."""

    reason: str

    message = "{reason}"


class PreviewMissing(InvalidChange):
    """A confirmation doesn't tell what was shown."""

    message = "Look at the preview again."


@dataclass
class OthersRunning(Conflict):
    """Another job works on the organization's documents."""

    title_of_job: str

    code = "others_running"
    title = "Something else works on the documents"
    message = "“{title_of_job}” is not at its end. Wait for it, or cancel it. Nothing was changed."


@dataclass
class IdNotConfirmed(Invalid):
    """Another id was typed than that of the document."""

    id: str

    code = "id_not_confirmed"
    field = "confirm_id"
    message = "Type the id of the document: {id}"
