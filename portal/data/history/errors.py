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


@dataclass
class InvalidChange(Invalid):
    """A change of many documents that can't be made."""

    reason: str

    code = "invalid_change"
    field = "changes"
    title = "This change can’t be made"
    message = "{reason}"


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
