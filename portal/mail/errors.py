"""Errors of mailed links, with their words."""

from dataclasses import dataclass

from portal.errors import Action, Gone


@dataclass
class InvalidLink(Gone):
    """A forged, expired, used, or withdrawn link; ``ask_again`` leads to a new one."""

    ask_again: Action | None = None

    code = "link_invalid"
    title = "This link no longer works"
    message = (
        "Each link in a mail works once and for a while, and a newer one ends the one before. "
        "Ask for another where you asked for this one."
    )

    @property
    def actions(self) -> tuple[Action, ...]:
        start = Action("To the start", "home.landing")
        return (self.ask_again, start) if self.ask_again else ()
