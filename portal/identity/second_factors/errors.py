"""Errors of second factors, and their words."""

from dataclasses import dataclass
from typing import Self

from portal.errors import Action, Conflict, Invalid, NotFound, Unauthenticated


@dataclass
class MalformedCode(Invalid):
    """No code at all, so it is no attempt; ``expected`` says how one looks."""

    expected: str

    code = "malformed_code"
    field = "code"
    message = "{expected}: check it"

    @classmethod
    def of_app(cls) -> Self:
        return cls("A code of the app has 6 digits")

    @classmethod
    def of_either(cls) -> Self:
        return cls("A code of the app has 6 digits, a recovery code 16 letters and digits")


class WrongCode(Unauthenticated):
    """Neither a current code of the account's app nor one of its recovery codes; or it was used."""

    code = "wrong_code"
    field = "code"
    message = "This code is not valid: enter the newest one. Each code works once"


class PasskeyRefused(Unauthenticated):
    """The signature or the passkey is not the expected one."""

    code = "passkey_refused"
    field = "credential"
    message = "The passkey was not accepted: try again, or use another way"


class ChallengeExpired(PasskeyRefused):
    """The request that the passkey signed is older than a challenge lives."""

    code = "passkey_too_late"
    message = "More than 5 minutes went by until the passkey was used: press the button again"


class ChallengeUsed(PasskeyRefused):
    """The request that the passkey signed was answered before."""

    code = "passkey_sent_twice"
    message = "This was sent twice, and each use of a passkey counts once: press the button again"


class PasskeyUnknown(PasskeyRefused):
    """The portal has no such passkey."""

    code = "passkey_unknown"
    message = (
        "The portal doesn’t know this passkey: it was removed here, or never saved. Use another "
        "one or another way, and delete it from the device or password manager"
    )


class PasskeyOfAnother(PasskeyRefused):
    """The passkey is another account's."""

    code = "passkey_of_another_account"
    message = "This passkey is another account’s: choose one of yours, or use another way"


class PasskeyKnown(Conflict):
    """The passkey was added already, to this account or another."""

    code = "passkey_known"
    field = "credential"
    message = "This passkey was added already: use it, or choose another device"


class PasskeyNotFound(NotFound):
    title = "This passkey is not there"
    message = "It was removed, or it is not one of yours."


class TooManyPasskeys(Conflict):
    code = "too_many_passkeys"
    field = "credential"
    message = "You have as many passkeys as there may be: remove one first"


@dataclass
class InvalidPasskeyName(Invalid):
    """A passkey's name that breaks a rule; ``reason`` says what to do."""

    reason: str

    code = "invalid_passkey_name"
    field = "passkey_name"
    message = "{reason}"

    @classmethod
    def empty(cls) -> Self:
        return cls("Name it, so that you know it again")

    @classmethod
    def too_long_or_invisible(cls, longest: int) -> Self:
        return cls(f"Choose {longest} visible characters at most")


class NoSecondFactor(Conflict):
    code = "no_second_factor"
    title = "You have no second factor"
    message = "Set up an authenticator app or a passkey first. Nothing was changed."
    actions = (
        Action("Set up a second factor", "factors.security"),
        Action("Your organizations", "organizations.list_mine"),
    )


class ResetAlreadyRequested(Conflict):
    """The account's second factors are to be reset already."""

    code = "reset_already_requested"
    title = "They are to be reset already"
    message = (
        "The second factors of this account are to be reset, and the person was told. Nothing was "
        "changed."
    )


class NoReset(Conflict):
    """No reset of the account's second factors is waiting."""

    code = "no_reset"
    title = "There is nothing to stop"
    message = (
        "No reset of the second factors is waiting: it was stopped, or carried out. Nothing was "
        "changed."
    )


@dataclass
class LastSecondFactor(Conflict):
    """The account's last second factor, which the organization of this ``name`` requires."""

    name: str

    code = "factor_needed"
    title = "This is your last second factor"
    message = (
        "{name} requires a second factor of its members, and this is the last one you have. "
        "Add another one first. Nothing was changed."
    )
    actions = (Action("Your second factors", "factors.security"),)
