"""The portal: where organizations of a multi-tenant software get their storage.

``create_app`` is the one place where the parts meet.
"""

from pathlib import Path

from flask import Flask, request
from flask_wtf import CSRFProtect

from portal import (
    answers,
    assets,
    cli,
    database,
    formats,
    forms,
    logs,
    requests,
    security,
    settings,
)
from portal import views as home_views
from portal.accounts import browser_cookie, cookie, profile_views
from portal.accounts import views as account_views
from portal.accounts.attempts import LogInAttempts
from portal.accounts.documents import Account, Browser, Recovery, Session
from portal.api import openapi
from portal.audit import views as audit_views
from portal.audit.documents import AuditEvent
from portal.factors import login_views as second_factor_views
from portal.factors import requirement_views
from portal.factors import views as factor_views
from portal.factors.documents import AuthenticatorApp, Challenge, Passkey, RecoveryCodes
from portal.idempotency import KeyRecord
from portal.keys import views as key_views
from portal.keys.documents import ApiKey, ProvisioningKey
from portal.limits import LimitCounter
from portal.mail import transport
from portal.mail.documents import Mail
from portal.members import invitation_views
from portal.members import views as member_views
from portal.members.documents import Invitation
from portal.organizations import lifecycle
from portal.organizations import views as organization_views
from portal.organizations.documents import Membership, Organization, Slug
from portal.organizations.pending import PendingSignUp
from portal.settings import Settings

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
    Slug,
    Membership,
    Invitation,
    PendingSignUp,
    AuditEvent,
    Mail,
    LimitCounter,
    LogInAttempts,
    KeyRecord,
    ApiKey,
    ProvisioningKey,
)
_TOP = Path(__file__).parent.parent


def create_app(active: Settings) -> Flask:
    """The portal as a WSGI application. Connects, and sends nothing, before a first request."""
    settings.activate(active)
    logs.configure()
    database.connect(active, DOCUMENTS)
    app = Flask(__name__, template_folder=str(_TOP / "templates"), static_folder=None)
    app.config.update(
        SECRET_KEY=active.secret_key,
        # A form is valid as long as the session it was made in; old secrets still open it.
        WTF_CSRF_SECRET_KEY=[*active.secret_key_fallbacks, active.secret_key],
        WTF_CSRF_TIME_LIMIT=None,
        # SameSite and __Host- keep other sites out; some browsers send no Referer at all.
        WTF_CSRF_SSL_STRICT=False,
        PROVIDE_AUTOMATIC_OPTIONS=False,
    )
    assets.init_app(app, security.headers(active))
    requests.init_app(app, active)
    security.init_app(app, active)
    answers.init_app(app)
    app.before_request(_prepare_database)
    cookie.init_app(app, active)
    browser_cookie.init_app(app, active)
    app.before_request(forms.take_key)
    csrf = CSRFProtect(app)
    formats.init_app(app)
    transport.init_app(app, active)
    app.jinja_env.globals["version"] = __version__
    app.jinja_env.filters.update(doing=lifecycle.doing, title_of=lifecycle.title_of)
    for views in (
        home_views,
        account_views,
        profile_views,
        organization_views,
        key_views,
        audit_views,
        member_views,
        invitation_views,
        factor_views,
        second_factor_views,
        requirement_views,
    ):
        app.register_blueprint(views.blueprint)
    openapi.init_app(app, csrf)
    cli.init_app(app)
    return app


def _prepare_database() -> None:
    if request.endpoint not in requests.HEALTH:
        database.await_prepared()
