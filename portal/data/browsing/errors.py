"""Errors of pages of documents, with their words."""

from collections.abc import Iterable
from dataclasses import dataclass

from portal.data.errors import InvalidQuery
from portal.display_names import InvalidName
from portal.errors import Conflict, Invalid, NotFound


class ValueNotFound(NotFound):
    code = "value_not_found"
    message = "The document has no such value any more."


class ViewNotFound(NotFound):
    code = "view_not_found"
    title = "There is no such view"
    message = "It may have been deleted. The views there are stand on their page."


@dataclass
class ValueMissing(InvalidQuery):
    """A condition that compares with a value has none."""

    reason: str = "Type a value."


@dataclass
class BoundsReversed(InvalidQuery):
    """The lower bound of a condition is above the upper one."""

    reason: str = "These bounds are the wrong way round: type the lower one first."


@dataclass
class ValuesMissing(InvalidQuery):
    """A condition between two values lacks one."""

    reason: str = "Type both values."


class ValueOfNoKind(InvalidQuery):
    """The value reads as none of the ``kinds`` that the operator compares with."""

    def __init__(self, kinds: Iterable[str]) -> None:
        super().__init__(f"Type a {' or '.join(kinds)}.")


class InvalidViewName(InvalidName):
    """A name of a view that breaks a rule."""

    code = "invalid_name"
    field = "name"
    message = "{reason}"


class InvalidViewQuery(Invalid):
    """A view of more than a URL has room for."""

    code = "invalid_view"
    field = "name"
    message = "Choose fewer conditions and columns: a view has 6,000 characters at most"


@dataclass
class ViewNameTaken(Conflict):
    """Another view has this name."""

    name: str

    code = "view_name_taken"
    field = "name"
    title = "There is such a view already"
    message = "Choose another name: there is a view “{name}” already"


@dataclass
class TooManyViews(Conflict):
    """An organization or a person has as many views as may be."""

    most: int

    code = "too_many_views"
    title = "There are too many views"
    message = "There are {most} views, and no more are possible. Delete one first."


@dataclass
class ViewChanged(Conflict):
    """Somebody changed the view since it was read."""

    name: str

    code = "view_changed"
    title = "The view was changed meanwhile"
    message = (
        "“{name}” was changed meanwhile, perhaps in another tab. Nothing was saved. Look at it "
        "again."
    )
