"""The portal as an application: ``create_app`` is the one place that wires the parts together."""

from pathlib import Path

from flask import Flask, request
from flask_wtf import CSRFProtect

from portal import __version__, cli, logs, settings
from portal.api import guides, openapi
from portal.api.refusals import FIELDS
from portal.app.parts import ACCOUNT_ENDINGS, DOCUMENTS, JOB_KINDS, MAIL_KINDS, OVERDUE
from portal.data.browsing import view_pages
from portal.data.browsing import views as browsing_views
from portal.data.editing import views as editing_views
from portal.data.history import views as history_views
from portal.data.structure import masks_views
from portal.data.structure import views as structure_views
from portal.data.transfer import views as transfer_views
from portal.database import connection
from portal.identity.accounts import views as account_views
from portal.identity.accounts import wiring
from portal.identity.authentication import cookies, passwords
from portal.identity.authentication import views as authentication_views
from portal.identity.second_factors import views as factor_views
from portal.jobs import running
from portal.mail import outbox, transport
from portal.operators import views as operator_views
from portal.operators.bulk import views as bulk_views
from portal.operators.listing import views as operator_listing_views
from portal.operators.organizations import moving_views as operator_move_views
from portal.operators.organizations import views as operator_organization_views
from portal.operators.overview import views as overview_views
from portal.operators.people import views as operator_people_views
from portal.operators.restrictions import views as operator_restriction_views
from portal.operators.support import views as operator_support_views
from portal.operators.usage import views as operator_usage_views
from portal.organizations import move_views
from portal.organizations import views as organization_views
from portal.organizations.activity import refusals
from portal.organizations.activity import views as audit_views
from portal.organizations.api_keys import views as key_views
from portal.organizations.credentials import views as credential_views
from portal.organizations.lifecycle import engine, moves
from portal.organizations.lifecycle.plans import PLANS
from portal.organizations.members import views as member_views
from portal.organizations.moving.parts import PORTAL_PARTS
from portal.organizations.second_factors import views as requirement_views
from portal.organizations.support import views as support_views
from portal.organizations.usage import views as usage_views
from portal.settings import Settings
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

_TOP = Path(__file__).parents[2]


def create_app(active: Settings) -> Flask:
    """The portal as a WSGI application. It connects to MongoDB on its first request."""
    settings.activate(active)
    engine.install(PLANS)
    moves.install(PORTAL_PARTS)
    outbox.install(MAIL_KINDS)
    running.install(JOB_KINDS)
    wiring.install(ACCOUNT_ENDINGS)
    logs.configure()
    connection.connect(active, DOCUMENTS, OVERDUE)
    app = Flask("portal", template_folder=str(_TOP / "templates"), static_folder=None)
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
    app.register_blueprint(guides.blueprint)
    openapi.init_app(app, csrf)
    cli.init_app(app)
    return app


def _prepare_database() -> None:
    if request.endpoint not in requests.HEALTH:
        connection.await_prepared()
