"""Accepting invitations: by the link in the mail, or logged in with a verified address.

A link proves control of the mailbox that it was sent to, so it verifies that address; an account
joins only with the invited address, verified. What is one address to us may be two mailboxes
elsewhere (``strasse@`` and ``straße@``): a link proves nothing about the other one.
"""

from dataclasses import dataclass, replace

from bson import ObjectId
from mongoengine.errors import NotUniqueError

from portal import clock
from portal.audit.trail import record
from portal.database.transactions import transactional, within_transaction
from portal.documents.accounts import Account
from portal.documents.memberships import Invitation, InvitationState, Membership, Role
from portal.documents.organizations import Organization, OrganizationState, Restriction
from portal.documents.sessions import Factor
from portal.email_addresses import EmailAddress
from portal.errors import NotFound
from portal.identity.accounts.creating import (
    NewAccount,
    check_sign_up,
    create_account,
    verify_by_link,
)
from portal.identity.accounts.errors import EmailTaken
from portal.identity.authentication import passwords
from portal.identity.authentication.errors import WrongCredentials
from portal.identity.sessions import sessions
from portal.identity.sessions.principals import AccountPrincipal, require_verified_address
from portal.mail import links
from portal.mail.errors import InvalidLink
from portal.organizations.access.restrictions import check_restriction
from portal.organizations.members import errors
from portal.organizations.members.mails import INVITE
from portal.organizations.members.memberships import record_about
from portal.permissions import ROLES
from portal.web import rate_limits
from portal.web.context import AuditActor, RequestContext
from portal.web.idempotency import claim_key

ACCEPT = "accept_invitation"
# What the recipient of a link has to do.
AGREE, PROVE, VERIFY, LOG_IN, SIGN_UP = "agree", "prove", "verify", "log in", "sign up"


@dataclass(frozen=True, slots=True)
class Invited:
    """The invitation behind a link. ``step`` is what the recipient has to do; ``to`` is the address
    that the link was sent to, in that spelling."""

    invitation: Invitation
    to: str
    organization: Organization
    inviter_email: str
    account: Account | None
    step: str


@dataclass(frozen=True, slots=True)
class Joined:
    """The joined organization, the role in it, and the principal of a new session, if any."""

    organization: Organization
    role: Role
    principal: AccountPrincipal | None = None


def read_link(token: str, account_id: ObjectId | None) -> Invited:
    """The invitation behind a link, for the account that is logged in, if any.

    Raises InvitationEnded, InvitationSuspended, and InvitationForAnotherAddress before anything
    about the invitation is disclosed; SignUpClosed where it takes an account that may not be
    created.
    """
    invitation, to = _find_by_token(token)
    if account_id:
        account = Account.objects(id=account_id).first()
        if account is None or account.email_key != invitation.email_key:
            invited = Account.objects(email_key=invitation.email_key).only("id").first()
            raise errors.InvitationForAnotherAddress(token, has_account=invited is not None)
    else:
        account = Account.objects(email_key=invitation.email_key).first()
    organization, inviter_email = _check_inviter(invitation)
    if account is None:
        check_sign_up(invited=True)
    step = _step(account, to, logged_in=bool(account_id))
    return Invited(invitation, to, organization, inviter_email, account, step)


def accept_link(
    token: str, account_id: ObjectId | None, password: str, context: RequestContext, user_agent: str
) -> Joined:
    """Accept the invitation behind a link, once.

    An account that is logged in with the invited address, verified, needs no ``password``. An
    unverified account with that address loses all of its sessions, and gets the ``password``;
    without an account, one is created. Either way the browser has a session afterwards.
    Raises what ``read_link`` does, and TooManyAttempts, WeakPassword, WrongCredentials, Overloaded,
    AccountExists, AlreadyJoined; AddressNotVerified where the link was sent to another spelling
    than the account's, so that it verifies nothing.
    """
    invited = read_link(token, account_id)
    account = invited.account
    if account and invited.step == LOG_IN:
        raise errors.AccountExists(account.email)
    if account and invited.step == AGREE:
        return transactional(_join)(invited.invitation, account.id, context)
    if account and invited.step == VERIFY:
        require_verified_address(account)
    rate_limits.count_attempt_of_network(rate_limits.SIGNUP, context.ip_address)
    if account:
        return _prove_and_join(invited, account, password, context, user_agent)
    return _sign_up_and_join(invited, password, context, user_agent)


def accept_own(invitation_id: ObjectId, account_id: ObjectId, context: RequestContext) -> Joined:
    """Accept an invitation to the account's own verified address, without a link.

    Raises NotFound for one of another address, AddressNotVerified, InvitationEnded,
    InvitationSuspended, AlreadyJoined.
    """
    account = Account.objects.get(id=account_id)
    invitation = Invitation.objects(id=invitation_id, email_key=account.email_key).first()
    if invitation is None:
        raise NotFound(str(invitation_id))
    require_verified_address(account)
    return transactional(_join)(invitation, account_id, context)


def _find_by_token(token: str) -> tuple[Invitation, str]:
    try:
        content = links.read_token(INVITE, token)
    except InvalidLink as error:
        raise errors.InvitationEnded from error
    invitation = Invitation.objects(id=content["id"], generation=content["generation"]).first()
    if invitation is None or invitation.standing != InvitationState.OPEN:
        raise errors.InvitationEnded
    # An earlier version did not sign the recipient, which mostly was the address as invited.
    return invitation, content.get("to", invitation.email)


def _step(account: Account | None, to: str, *, logged_in: bool) -> str:
    if account is None:
        return SIGN_UP
    # Both have their domains in lower case already.
    if account.verified_at is None and account.email == to:
        return PROVE
    if not logged_in:
        return LOG_IN
    return AGREE if account.verified_at else VERIFY


def _check_inviter(invitation: Invitation) -> tuple[Organization, str]:
    """The organization and the inviter's address. Raises InvitationEnded where the inviter may no
    longer invite, InvitationSuspended where the organization is in the trash, OrganizationLocked
    where it is locked."""
    organization = Organization.objects(
        id=invitation.organization, state__in=[OrganizationState.ACTIVE, OrganizationState.TRASHED]
    ).first()
    inviter = Membership.objects(
        organization=invitation.organization, account=invitation.inviter
    ).first()
    known = Account.objects(id=invitation.inviter).only("email", "verified_at", "blocked_at")
    account = known.first()
    # An earlier version allowed unverified accounts to invite.
    if not organization or not inviter or not account or not account.verified:
        raise errors.InvitationEnded
    if account.blocked_at:
        raise errors.InvitationEnded
    if "invitations.manage" not in ROLES[inviter.role]:
        raise errors.InvitationEnded
    if organization.restricted == Restriction.HIDDEN:
        raise errors.InvitationEnded
    if organization.state == OrganizationState.TRASHED:
        raise errors.InvitationSuspended(organization.name)
    check_restriction(organization, "invitations.manage")
    return organization, account.email


def _prove_and_join(
    invited: Invited, account: Account, password: str, context: RequestContext, user_agent: str
) -> Joined:
    context = context.acting_as(AuditActor(account.id, account.email))
    proved = verify_by_link(account, password, context)
    # Where another request verified it at the same time, that one's password counts.
    if not passwords.verify_password(password, proved.password_hash):
        raise WrongCredentials

    @transactional
    def join_and_log_in() -> Joined:
        joined = _join(invited.invitation, proved.id, context)
        # An account that already has a second factor logs in by that.
        current = Account.objects(
            id=proved.id, password_hash=proved.password_hash, has_second_factor__ne=True
        ).first()
        if current is None:
            raise WrongCredentials
        return replace(joined, principal=sessions.log_in(current, context, user_agent))

    return join_and_log_in()


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

    @transactional
    def create_and_join() -> Joined:
        try:
            entered = create_account(new, context, user_agent)
        except EmailTaken as error:
            raise errors.AccountExists(invited.to) from error
        by_account = entered.context
        record(entered.account, "account.logged_in", by_account.origin, factors=Factor.PASSWORD)
        joined = _join(invitation, new.id, by_account)
        return replace(joined, principal=entered.principal)

    return create_and_join()


@within_transaction
def _join(invitation: Invitation, account_id: ObjectId, context: RequestContext) -> Joined:
    """Accept the invitation as it was read."""
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
        raise errors.InvitationEnded
    organization, _ = _check_inviter(accepted)
    account = Account.objects(
        id=account_id, email_key=accepted.email_key, verified_at__ne=None
    ).modify(new=True, inc__membership_changes=1)
    if account is None:
        raise errors.InvitationForAnotherAddress
    membership = Membership(
        organization=organization.id, account=account_id, role=accepted.role, since=now
    )
    try:
        membership.insert()
    except NotUniqueError as error:
        raise errors.AlreadyJoined(organization.name, organization.slug) from error
    record_about(accepted, organization, "invitation.accepted", context, role=accepted.role)
    return Joined(organization, Role(accepted.role))
