"""Errors of second factors, and their words."""

from dataclasses import dataclass

from portal.errors import Conflict, Invalid, NotFound, Unauthenticated, WayOn


class WrongCode(Unauthenticated):
    """Not a code that the account's app shows, nor a recovery code that is left; or it was used."""

    code = "wrong_code"
    field = "code"
    message = "This code is not valid: enter the newest one. Each code works once"


class PasskeyRefused(Unauthenticated):
    """What a passkey signed is not what was asked for, or the passkey is none of the account's."""

    code = "passkey_refused"
    field = "credential"
    message = "The passkey was not accepted: try again, or use another way"


class PasskeyNotFound(NotFound):
    """The passkey was removed, or is not one of who asks."""

    code = "not_found"
    title = "This passkey is not there"
    message = "It was removed, or it is not one of yours."


class TooManyPasskeys(Conflict):
    """The account has as many passkeys as it may have."""

    code = "too_many_passkeys"
    field = "credential"
    message = "You have as many passkeys as there may be: remove one first"


@dataclass
class InvalidPasskeyName(Invalid):
    """A passkey's name that breaks a rule; ``reason`` tells the reader what to do."""

    reason: str

    code = "invalid_passkey_name"
    field = "passkey_name"
    message = "{reason}"


class NoSecondFactor(Conflict):
    """The account needs a second factor for this and has none."""

    code = "no_second_factor"
    title = "You have no second factor"
    message = "Set up an authenticator app or a passkey first. Nothing was changed."

    @property
    def ways_on(self) -> tuple[WayOn, ...]:
        return (
            WayOn("Set up a second factor", "factors.security"),
            WayOn("Your organizations", "organizations.list_mine"),
        )


@dataclass
class LastSecondFactor(Conflict):
    """The account's last second factor, while an organization of this name requires one."""

    name: str

    code = "factor_needed"
    title = "This is your last second factor"
    message = (
        "{name} requires a second factor of its members, and this is the last one you have. "
        "Add another one first. Nothing was changed."
    )

    @property
    def ways_on(self) -> tuple[WayOn, ...]:
        return (WayOn("Your second factors", "factors.security"),)
