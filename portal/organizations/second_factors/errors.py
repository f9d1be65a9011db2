"""Errors of requiring a second factor, and their words."""

from dataclasses import dataclass
from datetime import date

from portal.errors import Invalid


@dataclass
class InvalidStartDate(Invalid):
    """A day that is out of range for the start of the requirement."""

    first: date
    last: date

    code = "invalid_start"
    field = "starts_on"
    message = "Choose a day from {first:%-d %B %Y} to {last:%-d %B %Y}"
