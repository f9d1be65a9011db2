"""Errors of the listing, and their words."""

from dataclasses import dataclass

from portal.errors import Action, Invalid


@dataclass
class InvalidFilter(Invalid):
    """A filter named ``name`` has a ``value`` that there is none of: it isn't left out, since what
    is done to all that match would be done to more than was meant."""

    name: str
    value: str

    code = "invalid_filter"
    title = "There is no such filter"
    message = (
        "The filter {name} has no value “{value}”. Choose one that the list offers; days are like "
        "2026-11-25. Nothing was changed."
    )
    api_message = "{name} can't be {value}."

    @property
    def actions(self) -> tuple[Action, ...]:
        """The way back."""
        return (Action("All organizations", "operator_listing.show"),)
