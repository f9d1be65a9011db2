"""What can go wrong in the services, one typed error each.

A service raises one of these and nothing else on purpose; ``portal/web/error_messages.py`` says
in one table what each becomes for a reader.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from bson import ObjectId


class PortalError(Exception):
    """Something a service refused. Nothing was changed."""


@dataclass
class SeveralErrors(PortalError):
    """Several things that are wrong with one input, to be told together."""

    errors: list[PortalError]


def check_all(*checks: Callable[[], Any]) -> list[Any]:
    """Call all ``checks`` and return their results.

    Raises what a check raised; SeveralErrors where more than one did.
    """
    results, errors = [], []
    for check in checks:
        try:
            results.append(check())
        except PortalError as error:
            errors.append(error)
    if errors:
        raise errors[0] if len(errors) == 1 else SeveralErrors(errors)
    return results


@dataclass
class InvalidName(PortalError):
    """An organization's name that breaks a rule; ``reason`` tells the reader what to do."""

    reason: str


@dataclass
class SlugTaken(PortalError):
    """The slug that a name leads to belongs to another organization, or to no one to give."""

    slug: str


@dataclass
class NameUnchanged(PortalError):
    """A rename to the name that the organization already has."""

    name: str


@dataclass
class NameNotConfirmed(PortalError):
    """What was typed to confirm is not the organization's name."""

    name: str


@dataclass
class EmailTaken(PortalError):
    """An account with this e-mail address exists."""

    email: str


class InvalidEmail(PortalError):
    """Not an e-mail address."""


@dataclass
class WeakPassword(PortalError):
    """A password that breaks a rule; ``reason`` tells the reader what to do."""

    reason: str


class Repeated(PortalError):
    """Another request with the same key does it already, or has done it."""


class KeyReused(PortalError):
    """A program's key was sent before with another content."""


class WrongHost(PortalError):
    """The request named another host than the portal's."""


class WrongCredentials(PortalError):
    """No account has this e-mail address and this password; which was wrong isn't told."""


class WrongPassword(PortalError):
    """Not the password of the account that who asks is logged in to."""


@dataclass
class AddressUnchanged(PortalError):
    """A change of address to the address that the account has."""

    email: str


@dataclass
class AddressTaken(PortalError):
    """The address that a change of address was confirmed for is another account's by now."""

    email: str


@dataclass
class AddressNotConfirmed(PortalError):
    """What was typed to confirm is not the account's address."""

    email: str


class AddressVerified(PortalError):
    """There is nothing to prove: the account's address is verified."""


@dataclass
class InvalidPersonName(PortalError):
    """A person's name that breaks a rule; ``reason`` tells the reader what to do."""

    reason: str


class CodeRequired(PortalError):
    """The password is right, and a program must send a code of a second factor with it."""


class WrongCode(PortalError):
    """Not a code that the account's app shows, nor a recovery code that is left; or it was used."""


class PasskeyRefused(PortalError):
    """What a passkey signed is not what was asked for, or the passkey is none of the account's."""


class PasskeyGone(PortalError):
    """The passkey was removed, or is not one of who asks."""


class TooManyPasskeys(PortalError):
    """The account has as many passkeys as it may have."""


@dataclass
class InvalidPasskeyName(PortalError):
    """A passkey's name that breaks a rule; ``reason`` tells the reader what to do."""

    reason: str


class SessionGone(PortalError):
    """The session has ended, or is not one of who asks."""


@dataclass
class LastOwnerSomewhere(PortalError):
    """The account is the last owner of these organizations, by name."""

    organizations: list[str]


class LogInExpired(PortalError):
    """A log-in that waited too long for its second factor, was tried too often, or has ended."""


class NoSecondFactor(PortalError):
    """The account needs a second factor for this and has none."""


@dataclass
class FactorNeeded(PortalError):
    """The account's last second factor, while an organization of this name requires one."""

    name: str


@dataclass
class SecondFactorRequired(PortalError):
    """The organization of this name shows itself only to members who have a second factor;
    ``slug`` is where it can be left, unless it is in the trash."""

    name: str
    slug: str | None = None


@dataclass
class InvalidStart(PortalError):
    """No day from which a second factor may be required."""

    first: date
    last: date


class LinkInvalid(PortalError):
    """A link from a mail that is not ours, too old, used, or withdrawn."""


class InvitationEnded(LinkInvalid):
    """An invitation that can't be accepted any more: expired, withdrawn, used, sent again since,
    or by somebody who may no longer invite."""


class InvitationForAnother(PortalError):
    """An invitation that was sent to another address than the account's."""


@dataclass
class InvitationAsleep(PortalError):
    """An invitation to an organization that is in the trash."""

    name: str


@dataclass
class InvitationClosed(PortalError):
    """An invitation that was accepted or withdrawn, so there is nothing to send or withdraw."""

    email: str


@dataclass
class AlreadyInvited(PortalError):
    """The address has an invitation to the organization that is not answered."""

    email: str


@dataclass
class AlreadyMember(PortalError):
    """The address to invite is that of a member."""

    email: str


@dataclass
class AlreadyBelongs(PortalError):
    """Who accepts an invitation is a member already; their role stays."""

    name: str
    slug: str


@dataclass
class AccountExists(PortalError):
    """Who signs up by an invitation has an account by now."""

    email: str


@dataclass
class AddressNotVerified(PortalError):
    """Nobody has shown yet that they read what is sent to the account's address, ``email``."""

    email: str


class InvalidRole(PortalError):
    """Not a role that can be given: ownership is offered, and accepted."""


@dataclass
class LastOwner(PortalError):
    """It would leave the organization without an owner."""

    name: str
    slug: str


@dataclass
class AlreadyOwner(PortalError):
    """Who is offered ownership has it."""

    email: str


@dataclass
class AlreadyOffered(PortalError):
    """The member has an offer of ownership that is not answered."""

    email: str


@dataclass
class OfferEnded(PortalError):
    """The offer of ownership was withdrawn, answered, or made by somebody who is no owner now."""

    name: str
    slug: str


class NotFound(PortalError):
    """It doesn't exist, or not for who asks."""


@dataclass
class AddressChanged(PortalError):
    """A change was sent to an organization's old slug."""

    name: str
    slug: str


@dataclass
class Forbidden(PortalError):
    """The member's role, or the key, doesn't allow it."""

    permission: str
    organization: ObjectId | None = None
    role: str | None = None


class PersonNeeded(PortalError):
    """A key asked for what only a person may do."""


class NotForProvisioning(PortalError):
    """A provisioning key asked for something else than what it is for."""


class KeyNotFound(PortalError):
    """The organization has no such API key, or not any more."""


class InvalidKeyName(InvalidName):
    """A name of an API key that breaks a rule."""


@dataclass
class InvalidGrant(PortalError):
    """What an API key may not be given; ``reason`` tells the reader what to do."""

    reason: str


@dataclass
class InvalidExpiry(PortalError):
    """A last day that an API key can't have; ``reason`` tells the reader what to do."""

    reason: str


@dataclass
class KeyExpired(PortalError):
    """The last day of an API key is over."""

    name: str


@dataclass
class TooManyKeys(PortalError):
    """An organization has as many API keys as it may have."""

    most: int


@dataclass
class OperationInProgress(PortalError):
    """Another lifecycle operation runs on the organization, ``slug`` its address if it has one."""

    name: str
    slug: str
    kind: str
    doing: str
    started_at: datetime


@dataclass
class NotInTrash(PortalError):
    """The organization is active: restored since, or never in the trash."""

    name: str
    slug: str


@dataclass
class OrganizationPurged(PortalError):
    """The organization is no more; told to those who owned it."""

    name: str
    purged_at: datetime


@dataclass
class CollectionLost(PortalError):
    """The tenant collection was dropped behind the portal's back."""

    name: str


@dataclass
class CollectionInTheWay(PortalError):
    """A collection that isn't the portal's has a name that the portal keeps for itself."""

    name: str
    collection: str


@dataclass
class OrganizationTrashed(PortalError):
    """The organization is in the trash, or on its way there or out of the portal."""

    name: str


@dataclass
class DocumentExists(PortalError):
    """A document has this value of a unique key; ``index`` is which of those sent was refused."""

    index: int
    key: dict[str, Any]


@dataclass
class QueryRefused(PortalError):
    """A filter, update or pipeline that would reach further than its collection."""

    reason: str


@dataclass
class StoppedMidway(Exception):
    """Of many documents ``done`` were written and stay so; ``__cause__`` says what stopped it.

    What was at work when it stopped may have been done too, if that is that MongoDB was away.
    """

    done: int


class NotAuthenticated(PortalError):
    """A program asked without a bearer token that is valid."""


@dataclass
class MalformedJson(PortalError):
    """A body that is no JSON object; ``reason`` tells why."""

    reason: str


@dataclass
class InvalidInput(PortalError):
    """Fields that are missing, unknown or wrong; what is wrong with each."""

    fields: dict[str, str]


@dataclass
class TooManyTries(PortalError):
    """A limit is reached, and for how long."""

    retry_after_seconds: int


class Overloaded(PortalError):
    """The portal is busy and did not start what was asked."""


class DatabaseUnavailable(PortalError):
    """MongoDB can't be used right now."""


@dataclass
class MigrationRunning(PortalError):
    """Another portal brings master data to this version's shape, and needs a while longer."""

    number: int

    def __str__(self) -> str:
        return f"migration {self.number} of master data is running"


class StillPreparing(PortalError):
    """This process is not done yet with what must be before it answers: migrations of master data,
    and indexes."""

    def __str__(self) -> str:
        return "master data and indexes are being prepared"


@dataclass
class MigrationFailed(PortalError):
    """Master data could not be brought to this version's shape; the log has the reason."""

    number: int
    title: str

    def __str__(self) -> str:
        return f"migration {self.number} of master data failed ({self.title}); the log says why"
