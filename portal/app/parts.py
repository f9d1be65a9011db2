"""Everything that rooms have the portal know of, each kind as one tuple.

A tuple names what there is; nothing registers itself by being imported.
"""

from portal.applications import following
from portal.data import edit_events
from portal.data.history import changing, erasing, undoing
from portal.data.indexes import builds as index_builds
from portal.data.transfer import exports
from portal.data.transfer import steps as import_steps
from portal.database import resealing, rolling_upgrades
from portal.doctor import keeping, restored_master
from portal.documents.accounts import Account, Recovery
from portal.documents.api_keys import ApiKey, OperatorKey, ProvisioningKey
from portal.documents.applications import Application
from portal.documents.attempts import LimitCounter, LogInAttempts
from portal.documents.audit import AuditEvent
from portal.documents.bulk_actions import BulkAction, BulkItem
from portal.documents.capacity import CapacityReading
from portal.documents.clusters import Cluster
from portal.documents.credentials import Credential
from portal.documents.doctor import ExaminedCheck
from portal.documents.document_views import DocumentView
from portal.documents.figures import InstallationDay, OrganizationFigures
from portal.documents.idempotency import IdempotencyRecord
from portal.documents.index_suggestions import IndexSuggestion
from portal.documents.installation import Installation
from portal.documents.jobs import Job, JobItem
from portal.documents.limits import LimitNotice, PlanLimits
from portal.documents.listing import ListedOrganization, ListedWord, ListingFeed
from portal.documents.mails import Mail
from portal.documents.memberships import Invitation, Membership
from portal.documents.moves import Move
from portal.documents.operator_links import OperatorLink
from portal.documents.organization_notes import OrganizationNote
from portal.documents.organizations import Organization, Slug
from portal.documents.placement_policy import PlacementPolicy
from portal.documents.pools import Pool
from portal.documents.processes import PeriodicTask, Process
from portal.documents.restrictions import Hold, Suspension
from portal.documents.rules_versions import RulesVersion
from portal.documents.second_factors import AuthenticatorApp, Challenge, Passkey, RecoveryCodes
from portal.documents.sessions import Browser, Session
from portal.documents.sign_ups import PendingSignUp
from portal.documents.support import SupportGrant
from portal.documents.tenant_scripts import TenantScript
from portal.documents.usage import (
    ClusterUsage,
    DirectReading,
    UsageDay,
    UsageGap,
    UsageHour,
    UsageReporter,
    UsageRollup,
)
from portal.identity.accounts import mails as account_mails
from portal.identity.accounts.wiring import Wiring
from portal.identity.authentication import attempts
from portal.identity.second_factors import mails as second_factor_mails
from portal.jobs import runner as job_runner
from portal.operators import entering
from portal.operators import mails as operator_mails
from portal.operators import roles as operator_roles
from portal.operators.bulk import carrying_out, freezing
from portal.operators.listing import feeding
from portal.operators.overview import census
from portal.organizations import account_endings, signing_up
from portal.organizations.api_keys import mails as api_key_mails
from portal.organizations.credentials import tending as credential_tending
from portal.organizations.lifecycle import restricting, runner, trashing
from portal.organizations.members import mails as member_mails
from portal.organizations.moving import draining, mover
from portal.organizations.moving import mails as move_mails
from portal.organizations.restrictions import holding
from portal.organizations.support import mails as support_mails
from portal.organizations.support import tending as support_tending
from portal.organizations.usage import mails as usage_mails
from portal.organizations.usage import metering, rolling, sampling
from portal.placement import capacity
from portal.tenant_scripts import applying

DOCUMENTS = (
    Account,
    Session,
    Recovery,
    Browser,
    AuthenticatorApp,
    Passkey,
    RecoveryCodes,
    Challenge,
    Organization,
    OrganizationNote,
    BulkAction,
    BulkItem,
    Slug,
    Membership,
    Invitation,
    PendingSignUp,
    AuditEvent,
    Mail,
    LimitCounter,
    LogInAttempts,
    IdempotencyRecord,
    ApiKey,
    ProvisioningKey,
    OperatorKey,
    OperatorLink,
    Credential,
    DocumentView,
    Installation,
    Application,
    Pool,
    Move,
    PlacementPolicy,
    CapacityReading,
    OrganizationFigures,
    ListedOrganization,
    ListedWord,
    ListingFeed,
    Cluster,
    Job,
    JobItem,
    IndexSuggestion,
    RulesVersion,
    TenantScript,
    SupportGrant,
    Process,
    PeriodicTask,
    ExaminedCheck,
    InstallationDay,
    PlanLimits,
    LimitNotice,
    UsageHour,
    UsageDay,
    ClusterUsage,
    UsageReporter,
    UsageGap,
    UsageRollup,
    DirectReading,
    Suspension,
    Hold,
)
OVERDUE = (restored_master.notice_restored, support_tending.tend_due)
"""Work that is done before the first answer, in case it became due while no portal ran."""

PERIODIC_TASKS = (
    capacity.TASK,
    census.TASK,
    following.TASK,
    keeping.TASK,
    rolling.TASK,
    sampling.TASK,
)
BACKGROUND = (
    rolling_upgrades.start,
    runner.start,
    credential_tending.start,
    feeding.start,
    support_tending.start,
    job_runner.start,
    edit_events.start,
    mover.start,
    resealing.start,
    metering.start,
    entering.start,
)
"""Work that each worker does beside its requests; ``workers`` starts it, and what needs the
application or a tuple of these."""

MAIL_KINDS = (
    *account_mails.KINDS,
    *attempts.KINDS,
    *second_factor_mails.KINDS,
    *trashing.KINDS,
    *restricting.KINDS,
    *holding.KINDS,
    *member_mails.KINDS,
    *api_key_mails.KINDS,
    *signing_up.KINDS,
    *move_mails.KINDS,
    *usage_mails.KINDS,
    *support_mails.KINDS,
    *operator_mails.KINDS,
)
JOB_KINDS = (
    *applying.KINDS,
    *draining.KINDS,
    *index_builds.KINDS,
    changing.KIND,
    erasing.KIND,
    undoing.KIND,
    import_steps.KIND,
    *carrying_out.KINDS,
    *freezing.KINDS,
    exports.KIND,
)
ACCOUNT_ENDINGS = Wiring(
    on_closing=(
        account_endings.erase_invitations,
        account_endings.leave_organizations,
        operator_roles.end_role,
    ),
    on_first_verification=(
        account_endings.revoke_api_keys,
        account_endings.revoke_credentials,
        account_endings.withdraw_invitations,
    ),
)
