"""Errors of authentication, and their words."""

from dataclasses import dataclass
from typing import Self

from portal.errors import Invalid, Unauthenticated


@dataclass
class WeakPassword(Invalid):
    """A password that breaks a rule; ``reason`` says what to do."""

    reason: str

    code = "weak_password"
    field = "password"
    message = "{reason}"

    @classmethod
    def too_short(cls, shortest: int) -> Self:
        return cls(f"Choose a longer password: {shortest} characters or more")

    @classmethod
    def too_long(cls, longest: int) -> Self:
        return cls(f"Choose a shorter password: {longest} characters at most")

    @classmethod
    def untypable(cls) -> Self:
        return cls("Choose a password without control characters")

    @classmethod
    def easy_to_guess(cls, score: int, least: int, advice: str) -> Self:
        detail = f" {advice}." if advice else ""
        return cls(
            f"Choose a password that is harder to guess: this one is rated {score} of 4, and "
            f"{least} is needed.{detail} Four uncommon words in a row would do"
        )


class WrongCredentials(Unauthenticated):
    """No account has this e-mail address and password; which of them is wrong is not disclosed."""

    code = "wrong_credentials"
    field = "email"
    message = "No account has this e-mail address and password: check both"


class WrongPassword(Invalid):
    code = "wrong_password"
    field = "current_password"
    message = "This is not your password: check it"


class SecondFactorCodeRequired(Unauthenticated):
    """The password is right, and a program must send a second factor's code with it."""

    code = "second_factor_required"
    field = "code"
    title = "A second factor is needed"
    message = "Send a code of the authenticator app, or a recovery code, as code."


class LogInExpired(Unauthenticated):
    """A pending log-in that expired, was tried too often, or was revoked."""

    code = "log_in_expired"
    title = "This log-in is over"
    message = (
        "A log-in waits 10 minutes for the second factor, and for a few tries. Begin again "
        "with your password."
    )
