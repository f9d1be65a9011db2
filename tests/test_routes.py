"""Every route, asked for in every role and none: who gets in is what the tables say.

A route that is not in ``ROUTES`` fails, so that none can come or go unnoticed.
"""

import pytest

from portal.organizations.documents import ADMIN, OWNER, VIEWER
from portal.organizations.permissions import ROLES
from portal.organizations.trashing import trash_organization
from tests.factories import a_member, a_passkey, an_account, an_organization, origin
from tests.program import Program
from tests.visitor import Visitor

PUBLIC, PERSON, LEAVES = "everybody", "everybody with an account", "leads to the log-in"
OWN = "whose it is, which none of these are"
NOBODY, STRANGER = "nobody", "stranger"
ROLES_AND_NONE = (NOBODY, STRANGER, VIEWER, ADMIN, OWNER)

# What each route needs: a permission in the organization that its address names, an account, or
# nothing. The permissions of what is in the trash count there, where only owners are.
ROUTES = {
    "GET /": PUBLIC,
    "GET /healthz": PUBLIC,
    "GET /readyz": PUBLIC,
    "GET /docs": PUBLIC,
    "GET /docs/openapi.json": PUBLIC,
    "GET /signup": PUBLIC,
    "POST /signup": PUBLIC,
    "POST /signup/password": PUBLIC,
    "GET /login": PUBLIC,
    "POST /login": PUBLIC,
    "GET /login/second": LEAVES,
    "POST /login/second": LEAVES,
    "GET /login/passkey": PUBLIC,
    "POST /login/passkey": PUBLIC,
    "POST /logout": LEAVES,
    "GET /account": PERSON,
    "GET /account/confirm": PERSON,
    "POST /account/confirm": PERSON,
    "GET /account/security": PERSON,
    "GET /account/security/app": PERSON,
    "POST /account/security/app": PERSON,
    "GET /account/security/app/remove": PERSON,
    "POST /account/security/app/remove": PERSON,
    "GET /account/security/passkeys/new": PERSON,
    "POST /account/security/passkeys/new": PERSON,
    "GET /account/security/passkeys/<passkey_id>": OWN,
    "POST /account/security/passkeys/<passkey_id>": OWN,
    "GET /account/security/passkeys/<passkey_id>/remove": OWN,
    "POST /account/security/passkeys/<passkey_id>/remove": OWN,
    "GET /account/security/codes": PERSON,
    "GET /account/security/codes/new": PERSON,
    "POST /account/security/codes/new": PERSON,
    "POST /account/security/browsers/forget": PERSON,
    "GET /organizations": PERSON,
    "GET /organizations/preview": PUBLIC,
    "GET /organizations/new": PERSON,
    "POST /organizations/new": PERSON,
    "GET /organizations/<slug>": "organization.view",
    "GET /organizations/<slug>/activity": "audit.view",
    "GET /organizations/<slug>/settings": "organization.view",
    "GET /organizations/<slug>/second-factor": "organization.require_second_factor",
    "POST /organizations/<slug>/second-factor": "organization.require_second_factor",
    "GET /organizations/<slug>/rename": "organization.rename",
    "POST /organizations/<slug>/rename": "organization.rename",
    "GET /organizations/<slug>/delete": "organization.delete",
    "POST /organizations/<slug>/delete": "organization.delete",
    "GET /trash": PERSON,
    "GET /trash/<organization_id>": "organization.restore",
    "GET /trash/<organization_id>/restore": "organization.restore",
    "POST /trash/<organization_id>/restore": "organization.restore",
    "GET /trash/<organization_id>/purge": "organization.purge",
    "POST /trash/<organization_id>/purge": "organization.purge",
    "POST /org/create": PUBLIC,
    "GET /org/trash": PERSON,
    "GET /org/<name:name>": "organization.view",
    "PUT /org/update/<name:name>": "organization.rename",
    "PUT /org/update": "organization.rename",
    "DELETE /org/delete/<name:name>": "organization.delete",
    "DELETE /org/delete": "organization.delete",
    "POST /org/trash/<organization_id>/restore": "organization.restore",
    "DELETE /org/trash/<organization_id>": "organization.purge",
    "POST /admin/login": PUBLIC,
    "GET /auth/check": PERSON,
}
# Bodies that name the organization, where the address doesn't.
BODIES = {
    "PUT /org/update/<name:name>": {"new_organization_name": "Other"},
    "PUT /org/update": {"old_organization_name": "Acme Corp", "new_organization_name": "Other"},
    "DELETE /org/delete": {"organization_name": "Acme Corp"},
}
IN, LOG_IN, FORBIDDEN, NOT_FOUND = "in", "has to log in", 403, 404


def test_the_table_names_exactly_the_routes_there_are(app):
    routes = {
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    assert set(ROUTES) == routes


def expected(need, role):
    if need == PUBLIC:
        return IN
    if role == NOBODY or need == LEAVES:
        return LOG_IN
    if need == PERSON:
        return IN
    if need == OWN:
        return NOT_FOUND
    if role == STRANGER:
        return NOT_FOUND
    return IN if need in ROLES[role] else FORBIDDEN


def expected_of(route, role):
    of_the_trash = "<organization_id>" in route
    answer = expected(ROUTES[route], role)
    return NOT_FOUND if of_the_trash and answer == FORBIDDEN else answer


@pytest.mark.parametrize("role", ROLES_AND_NONE)
@pytest.mark.parametrize("route", ROUTES)
def test_who_gets_in_is_what_the_tables_say(app, route, role):
    """Row T3 of the attacks."""
    method, rule = route.split()
    address = rule.replace("<slug>", "acme-corp").replace("<name:name>", "acme-corp")
    organization, email = prepare(role)
    if "<organization_id>" in rule:
        trash_organization(organization, None, origin())
    address = fill(address, organization)
    asked = ask_api if rule.split("/")[1] in ("org", "auth", "admin") else ask_page
    answer = asked(app, method, address, BODIES.get(route), email)
    assert outcome(answer) == expected_of(route, role)


def prepare(role):
    """An organization, and the address of an account that has the role in it."""
    organization = an_organization("Acme Corp")
    if role == NOBODY:
        return organization, None
    email = "teo@acme.example"
    if role == STRANGER:
        an_account(email)
    else:
        a_member(organization, role, email)
    return organization, email


def fill(address, organization):
    """The address, with ids of what belongs to the organization."""
    if "<passkey_id>" in address:
        return address.replace("<passkey_id>", str(a_passkey(an_account("eve@acme.example")).id))
    return address.replace("<organization_id>", str(organization.id))


def ask_page(app, method, address, body, email):
    visitor = Visitor(app)
    if email:
        assert visitor.log_in(email).status == 303
    if method == "GET":
        return visitor.client.get(address)
    token = visitor.token("/organizations/new" if email else "/login")
    return visitor.client.post(address, data={"csrf_token": token, **(body or {})})


def ask_api(app, method, address, body, email):
    program = Program(app)
    if email:
        program.log_in(email)
    return program.ask(method, address, body if body or method == "GET" else {})


def outcome(answer):
    assert answer.status_code < 500
    if answer.status_code in (FORBIDDEN, NOT_FOUND):
        return answer.status_code
    to_log_in = answer.status_code == 303 and answer.location.startswith("/login")
    told = answer.is_json and answer.status_code == 401
    unknown = told and answer.json["error"]["code"] == "not_authenticated"
    return LOG_IN if to_log_in or unknown else IN
