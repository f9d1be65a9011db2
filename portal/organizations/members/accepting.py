"""Accepting invitations: by the link in the mail, or logged in with a verified address.

A link proves that who follows it reads the mailbox that it was sent to; so it verifies that
address, and nobody joins whose account has not the invited address, verified. What is one address
to us may be two mailboxes elsewhere (``strasse@`` and ``straße@``): of the other one a link proves
nothing.
"""

from dataclasses import dataclass, replace

from bson import ObjectId
from mongoengine.errors import NotUniqueError

from portal import clock
from portal.audit.trail import record
from portal.database.transactions import transaction
from portal.documents.accounts import Account
from portal.documents.invitations import Invitation, InvitationState
from portal.documents.memberships import Membership
from portal.documents.organizations import Organization, OrganizationState
from portal.documents.sessions import Factor
from portal.email_addresses import EmailAddress
from portal.errors import NotFound
from portal.identity.accounts.creating import NewAccount, create_account
from portal.identity.accounts.errors import EmailTaken
from portal.identity.accounts.verifying import verify_by_link
from portal.identity.authentication import passwords
from portal.identity.authentication.errors import WrongCredentials
from portal.identity.sessions import sessions
from portal.identity.sessions.principals import AccountPrincipal, require_verified_address
from portal.mail import links
from portal.mail.errors import InvalidLink
from portal.organizations.members.errors import (
    AccountExists,
    AlreadyJoined,
    InvitationEnded,
    InvitationForAnotherAddress,
    InvitationSuspended,
)
from portal.organizations.members.mails import INVITE
from portal.permissions import ROLES
from portal.web import rate_limits
from portal.web.context import AuditActor, RequestContext
from portal.web.idempotency import claim_key

ACCEPT = "accept_invitation"
# What whoever follows the link has to do.
AGREE, PROVE, VERIFY, LOG_IN, SIGN_UP = "agree", "prove", "verify", "log in", "sign up"


@dataclass(frozen=True, slots=True)
class Invited:
    """What a link leads to, for who follows it: ``step`` is what they have to do. ``to`` is the
    address that the link was sent to, as it is written there."""

    invitation: Invitation
    to: str
    organization: Organization
    inviter_email: str
    account: Account | None
    step: str


@dataclass(frozen=True, slots=True)
class Joined:
    """The organization that somebody joined, the role, and who the browser is if that is new."""

    organization: Organization
    role: str
    principal: AccountPrincipal | None = None


def read_link(token: str, account_id: ObjectId | None) -> Invited:
    """What a link from a mail invites to. ``account_id`` is whose browser follows it.

    Raises InvitationEnded, InvitationSuspended, and InvitationForAnotherAddress before anything of
    the invitation is told.
    """
    invitation, to = _linked(token)
    if account_id:
        account = Account.objects(id=account_id).first()
        if account is None or account.email_key != invitation.email_key:
            raise InvitationForAnotherAddress
    else:
        account = Account.objects(email_key=invitation.email_key).first()
    organization, inviter_email = _inviting(invitation)
    step = _step(account, to, logged_in=bool(account_id))
    return Invited(invitation, to, organization, inviter_email, account, step)


def accept_link(
    token: str, account_id: ObjectId | None, password: str, context: RequestContext, user_agent: str
) -> Joined:
    """Accept the invitation that a link leads to, once.

    Who is logged in with the address, and has verified it, needs no ``password``. Where nobody
    has verified it, all sessions of its account end, and the password is the account's from then
    on; where it has no account, one is made. Either way the browser has a session afterwards.
    Raises what ``read_link`` does, and TooManyAttempts, WeakPassword, WrongCredentials, Overloaded,
    AccountExists, AlreadyJoined; AddressNotVerified where the link was sent to another spelling
    than the account's, so that it verifies nothing.
    """
    invited = read_link(token, account_id)
    account = invited.account
    if account and invited.step == LOG_IN:
        raise AccountExists(account.email)
    if account and invited.step == AGREE:
        return transaction(lambda: _join(invited.invitation, account.id, context))
    if account and invited.step == VERIFY:
        require_verified_address(account)
    rate_limits.count_try(rate_limits.SIGNUP, rate_limits.network_of(context.ip_address))
    if account:
        return _prove_and_join(invited.invitation, account, password, context, user_agent)
    return _sign_up_and_join(invited, password, context, user_agent)


def accept_own(invitation_id: ObjectId, account_id: ObjectId, context: RequestContext) -> Joined:
    """Accept an invitation of the account's own verified address, without a link.

    Raises NotFound for one of another address, AddressNotVerified, InvitationEnded,
    InvitationSuspended, AlreadyJoined; then nothing was changed.
    """
    account = Account.objects.get(id=account_id)
    invitation = Invitation.objects(id=invitation_id, email_key=account.email_key).first()
    if invitation is None:
        raise NotFound(str(invitation_id))
    require_verified_address(account)
    return transaction(lambda: _join(invitation, account_id, context))


def _linked(token: str) -> tuple[Invitation, str]:
    try:
        content = links.read(INVITE, token)
    except InvalidLink as error:
        raise InvitationEnded from error
    invitation = Invitation.objects(id=content["id"], generation=content["generation"]).first()
    if invitation is None or invitation.standing != InvitationState.OPEN:
        raise InvitationEnded
    # A version before did not sign where it was sent; mostly that was the address as invited.
    return invitation, content.get("to", invitation.email)


def _step(account: Account | None, to: str, *, logged_in: bool) -> str:
    if account is None:
        return SIGN_UP
    # As they are shown their domains are in lower case already.
    if account.verified_at is None and account.email == to:
        return PROVE
    if not logged_in:
        return LOG_IN
    return AGREE if account.verified_at else VERIFY


def _inviting(invitation: Invitation) -> tuple[Organization, str]:
    """The organization, if it can be joined, and the address of who invites, if they may."""
    organization = Organization.objects(
        id=invitation.organization, state__in=[OrganizationState.ACTIVE, OrganizationState.TRASHED]
    ).first()
    inviter = Membership.objects(
        organization=invitation.organization, account=invitation.inviter
    ).first()
    account = Account.objects(id=invitation.inviter).only("email", "verified_at").first()
    # In a version before, an address that nobody had verified was enough to invite.
    if not organization or not inviter or not account or not account.verified:
        raise InvitationEnded
    if "invitations.manage" not in ROLES[inviter.role]:
        raise InvitationEnded
    if organization.state == OrganizationState.TRASHED:
        raise InvitationSuspended(organization.name)
    return organization, account.email


def _prove_and_join(
    invitation: Invitation,
    account: Account,
    password: str,
    context: RequestContext,
    user_agent: str,
) -> Joined:
    context = context.acting_as(AuditActor(account.id, account.email))
    proved = verify_by_link(account, password, context)
    # Where another request proved it at the same time, the password is that one's.
    if not passwords.verify_password(password, proved.password_hash):
        raise WrongCredentials

    def body() -> Joined:
        joined = _join(invitation, proved.id, context)
        # With a second factor added since, they log in by that.
        current = Account.objects(
            id=proved.id, password_hash=proved.password_hash, has_second_factor__ne=True
        ).first()
        if current is None:
            raise WrongCredentials
        return replace(joined, principal=sessions.log_in(current, context, user_agent))

    return transaction(body)


def _sign_up_and_join(
    invited: Invited, password: str, context: RequestContext, user_agent: str
) -> Joined:
    invitation = invited.invitation
    passwords.check_password(password, invited.to, invited.organization.name)

    new = NewAccount(
        ObjectId(),
        EmailAddress(invited.to, invitation.email_key),
        passwords.hash_password(password),
        verified_at=clock.now(),
    )

    def body() -> Joined:
        try:
            entered = create_account(new, context, user_agent)
        except EmailTaken as error:
            raise AccountExists(invited.to) from error
        by_account = entered.context
        record(entered.account, "account.logged_in", by_account.origin, factors=Factor.PASSWORD)
        joined = _join(invitation, new.id, by_account)
        return replace(joined, principal=entered.principal)

    return transaction(body)


def _join(invitation: Invitation, account_id: ObjectId, context: RequestContext) -> Joined:
    """Accept the invitation as it was read; the inside of a transaction."""
    now = clock.now()
    claim_key(context, invitation.organization, ACCEPT, invitation.id)
    accepted = Invitation.objects(
        id=invitation.id,
        generation=invitation.generation,
        state=InvitationState.OPEN,
        expires_at__gt=now,
    ).modify(
        new=True, set__state=InvitationState.ACCEPTED, set__ended_at=now, set__account=account_id
    )
    if accepted is None:
        raise InvitationEnded
    organization, _ = _inviting(accepted)
    account = Account.objects(
        id=account_id, email_key=accepted.email_key, verified_at__ne=None
    ).modify(new=True, inc__membership_changes=1)
    if account is None:
        raise InvitationForAnotherAddress
    membership = Membership(
        organization=organization.id, account=account_id, role=accepted.role, since=now
    )
    try:
        membership.save(force_insert=True)
    except NotUniqueError as error:
        raise AlreadyJoined(organization.name, organization.slug) from error
    record(
        organization,
        "invitation.accepted",
        context.origin,
        target=accepted.id,
        target_email=accepted.email,
        role=accepted.role,
    )
    return Joined(organization, accepted.role)
