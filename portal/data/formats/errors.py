"""Errors of files, with their words."""

from dataclasses import dataclass

from portal.errors import Invalid


@dataclass
class BrokenFile(Invalid):
    """A file that can't be read, or not to its end."""

    reason: str

    code = "broken_file"
    title = "This file can’t be read"
    message = "{reason} Nothing was changed."
