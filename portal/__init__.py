"""The portal: registers the organizations of multi-tenant software, and provides their storage.

``create_app`` is the one place that wires the parts together.
"""

from pathlib import Path

from flask import Flask, request
from flask_wtf import CSRFProtect

from portal import cli, logs, settings
from portal.api import openapi
from portal.api.refusals import FIELDS
from portal.data.browsing import view_pages
from portal.data.browsing import views as browsing_views
from portal.data.editing import views as editing_views
from portal.data.history import changing, erasing, undoing
from portal.data.history import views as history_views
from portal.data.indexes import builds as index_builds
from portal.data.structure import masks_views
from portal.data.structure import views as structure_views
from portal.data.transfer import exports
from portal.data.transfer import steps as import_steps
from portal.data.transfer import views as transfer_views
from portal.database import connection
from portal.doctor import keeping
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
from portal.identity.accounts import views as account_views
from portal.identity.accounts import wiring
from portal.identity.accounts.wiring import Wiring
from portal.identity.authentication import attempts, cookies, passwords
from portal.identity.authentication import views as authentication_views
from portal.identity.second_factors import mails as second_factor_mails
from portal.identity.second_factors import views as factor_views
from portal.jobs import running
from portal.mail import outbox, transport
from portal.operators import mails as operator_mails
from portal.operators import roles as operator_roles
from portal.operators import views as operator_views
from portal.operators.bulk import carrying_out, freezing
from portal.operators.bulk import views as bulk_views
from portal.operators.listing import views as operator_listing_views
from portal.operators.organizations import moving_views as operator_move_views
from portal.operators.organizations import views as operator_organization_views
from portal.operators.overview import census
from portal.operators.overview import views as overview_views
from portal.operators.people import views as operator_people_views
from portal.operators.restrictions import views as operator_restriction_views
from portal.operators.support import views as operator_support_views
from portal.operators.usage import views as operator_usage_views
from portal.organizations import account_endings, move_views, signing_up
from portal.organizations import views as organization_views
from portal.organizations.activity import refusals
from portal.organizations.activity import views as audit_views
from portal.organizations.api_keys import mails as api_key_mails
from portal.organizations.api_keys import views as key_views
from portal.organizations.credentials import views as credential_views
from portal.organizations.lifecycle import engine, moves, restricting, trashing
from portal.organizations.lifecycle.plans import PLANS
from portal.organizations.members import mails as member_mails
from portal.organizations.members import views as member_views
from portal.organizations.moving import draining
from portal.organizations.moving import mails as move_mails
from portal.organizations.moving.parts import PORTAL_PARTS
from portal.organizations.restrictions import holding
from portal.organizations.second_factors import views as requirement_views
from portal.organizations.support import mails as support_mails
from portal.organizations.support import tending as support_tending
from portal.organizations.support import views as support_views
from portal.organizations.usage import mails as usage_mails
from portal.organizations.usage import rolling, sampling
from portal.organizations.usage import views as usage_views
from portal.placement import capacity
from portal.settings import Settings
from portal.tenant_scripts import applying
from portal.web import (
    bodies,
    error_handlers,
    forms,
    headers,
    requests,
    static_files,
    template_filters,
    templating,
)
from portal.web import views as home_views
from portal.web.routing import LateRule

__version__ = "0.1.0"
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
PERIODIC_TASKS = (capacity.TASK, census.TASK, keeping.TASK, rolling.TASK, sampling.TASK)
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
    freezing.COUNTING,
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
_TOP = Path(__file__).parent.parent


def create_app(active: Settings) -> Flask:
    """The portal as a WSGI application. It connects to MongoDB on its first request."""
    settings.activate(active)
    engine.install(PLANS)
    moves.install(PORTAL_PARTS)
    outbox.install(MAIL_KINDS)
    running.install(JOB_KINDS)
    wiring.install(ACCOUNT_ENDINGS)
    logs.configure()
    connection.connect(active, DOCUMENTS, (support_tending.tend_due,))
    app = Flask(__name__, template_folder=str(_TOP / "templates"), static_folder=None)
    app.jinja_environment = templating.Environment  # before its first use
    app.url_rule_class = LateRule
    app.config.update(
        SECRET_KEY=active.secret_key,
        # A form is valid as long as its session; old secrets still verify it.
        WTF_CSRF_SECRET_KEY=[*active.secret_key_fallbacks, active.secret_key],
        WTF_CSRF_TIME_LIMIT=None,
        # SameSite and __Host- keep other sites out; some browsers send no Referer.
        WTF_CSRF_SSL_STRICT=False,
        PROVIDE_AUTOMATIC_OPTIONS=False,
    )
    static_files.init_app(app, headers.headers(active))
    requests.init_app(app, active)
    headers.init_app(app, active)
    error_handlers.init_app(app, observers=(refusals.observe,), api_fields=FIELDS)
    app.before_request(_prepare_database)
    cookies.init_app(app, active)
    app.before_request(bodies.receive_form)
    app.before_request(forms.store_idempotency_key)
    csrf = CSRFProtect(app)
    csrf.exempt(transfer_views.upload)  # it checks the token itself, before the file arrives
    template_filters.init_app(app)
    transport.init_app(app, active)
    app.jinja_env.globals.update(version=__version__, shortest_password=passwords.shortest)
    app.jinja_env.filters.update(doing=engine.doing, title_of=engine.title_of)
    for views in (
        home_views,
        authentication_views,
        account_views,
        organization_views,
        move_views,
        key_views,
        credential_views,
        browsing_views,
        view_pages,
        history_views,
        structure_views,
        masks_views,
        editing_views,
        transfer_views,
        audit_views,
        member_views,
        factor_views,
        requirement_views,
        support_views,
        operator_support_views,
        operator_usage_views,
        usage_views,
        operator_restriction_views,
        operator_views,
        operator_people_views,
        operator_listing_views,
        operator_organization_views,
        operator_move_views,
        bulk_views,
        overview_views,
    ):
        app.register_blueprint(views.blueprint)
    app.register_blueprint(account_views.link_blueprint)
    app.register_blueprint(operator_usage_views.plans_blueprint)
    app.register_blueprint(member_views.invitations)
    openapi.init_app(app, csrf)
    cli.init_app(app)
    return app


def _prepare_database() -> None:
    if request.endpoint not in requests.HEALTH:
        connection.await_prepared()
