"""The actions of operators, each in three ways: on a page, by the API, as a command."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OperatorAction:
    """An action in ``words``, with the endpoint of its ``page``, the ``operationId`` of its call
    and its ``command`` behind ``flask``. One that ``destroys`` something can be planned first in
    each of the three."""

    name: str
    words: str
    page: str
    api: str
    command: str
    destroys: bool = False


ACTIONS: tuple[OperatorAction, ...] = ()
"""Every action of operators. A test finds each in all three ways."""
