"""Steps of other rooms as an account is closed or first verified; ``create_app`` installs them."""

from collections.abc import Callable
from dataclasses import dataclass

from bson import ObjectId

from portal.documents.accounts import Account
from portal.web.context import RequestContext

ClosingStep = Callable[[Account, RequestContext], list[ObjectId]]
VerificationStep = Callable[[Account, RequestContext], None]


@dataclass(frozen=True, slots=True)
class Wiring:
    """Steps in the transaction that closes an account, each returning further ids under which the
    audit trail names the person; and in the one that first verifies its address, which revoke what
    somebody else may have created."""

    on_closing: tuple[ClosingStep, ...] = ()
    on_first_verification: tuple[VerificationStep, ...] = ()


_installed = [Wiring()]


def install(wiring: Wiring) -> None:
    """Install the steps for this process."""
    _installed[:] = [wiring]


def current() -> Wiring:
    """The installed steps."""
    return _installed[0]
