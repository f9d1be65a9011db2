"""What other rooms end together with an account; ``create_app`` says what that is."""

from collections.abc import Callable
from dataclasses import dataclass

from bson import ObjectId

from portal.documents.accounts import Account
from portal.web.context import RequestContext

ClosingStep = Callable[[Account, RequestContext], list[ObjectId]]
VerificationStep = Callable[[Account, RequestContext], None]


@dataclass(frozen=True, slots=True)
class Wiring:
    """Steps in the transaction that closes an account, each returning the ids under which the audit
    trail names the person too; and in that of the first verification of its address, which ends
    whatever somebody else may have begun."""

    on_closing: tuple[ClosingStep, ...] = ()
    on_first_verification: tuple[VerificationStep, ...] = ()


_installed = [Wiring()]


def install(wiring: Wiring) -> None:
    """Make these the steps of this process."""
    _installed[:] = [wiring]


def current() -> Wiring:
    """The steps that were installed."""
    return _installed[0]
