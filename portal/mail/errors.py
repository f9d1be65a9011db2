"""Errors of mailed links and of addresses, with their words."""

from dataclasses import dataclass

from portal.email_addresses import InvalidEmail
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


class LocalEmail(InvalidEmail):
    """An address of a domain that only a network knows, which the settings don't allow."""

    message = "Enter an address that mails reach over the internet, like mara@acme.example"


class UnreachableEmail(InvalidEmail):
    """An address that needs SMTPUTF8, which the mail server doesn't offer."""

    message = (
        "Mails from here can't reach this address: enter one with only letters a to z, digits "
        "and signs before the @"
    )
