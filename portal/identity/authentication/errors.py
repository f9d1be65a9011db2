"""Errors of authentication, and their words."""

from dataclasses import dataclass

from portal.errors import Invalid, Unauthenticated


@dataclass
class WeakPassword(Invalid):
    """A password that breaks a rule; ``reason`` tells the reader what to do."""

    reason: str

    code = "weak_password"
    field = "password"
    message = "{reason}"


class WrongCredentials(Unauthenticated):
    """No account has this e-mail address and this password; which was wrong isn't told."""

    code = "wrong_credentials"
    field = "email"
    message = "No account has this e-mail address and password: check both"


class WrongPassword(Invalid):
    """Not the password of the account that who asks is logged in to."""

    code = "wrong_password"
    field = "current_password"
    message = "This is not your password: check it"


class SecondFactorCodeRequired(Unauthenticated):
    """The password is right, and a program must send a code of a second factor with it."""

    code = "second_factor_required"
    field = "code"
    title = "A second factor is needed"
    message = "Send a code of the authenticator app, or a recovery code, as code."


class LogInExpired(Unauthenticated):
    """A log-in that waited too long for its second factor, was tried too often, or has ended."""

    code = "log_in_expired"
    title = "This log-in is over"
    message = (
        "A log-in waits 10 minutes for the second factor, and for a few tries. Begin again "
        "with your password."
    )
