"""Every route, asked for in every role and none, and of the API by keys too: who gets in is what
the tables say.

A route that is not in ``ROUTES`` fails, so that none can come or go unnoticed.
"""

import pytest

from portal.documents.memberships import Role
from portal.documents.organizations import Organization
from portal.identity.api_keys import provisioning
from portal.organizations.api_keys import managing
from portal.organizations.lifecycle.trashing import trash_organization
from portal.permissions import ROLES, of_key
from tests.factories import (
    a_context,
    a_key,
    a_member,
    a_passkey,
    a_session,
    an_account,
    an_invitation,
    an_organization,
)
from tests.program import Program
from tests.visitor import Visitor

PUBLIC, PERSON, LEAVES = "everybody", "everybody with an account", "leads to the log-in"
KNOWN = "everybody with an account, and keys"
OWN = "whose it is, which none of these are"
NOBODY, STRANGER = "nobody", "stranger"
ROLES_AND_NONE = (NOBODY, STRANGER, Role.VIEWER, Role.ADMIN, Role.OWNER)
VIEWER_KEY, ADMIN_KEY, FOREIGN_KEY = "viewer's key", "admin's key", "key of another organization"
PROVISIONING_KEY = "provisioning key"
KEYS = (VIEWER_KEY, ADMIN_KEY, FOREIGN_KEY, PROVISIONING_KEY)

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
    "GET /signup/finish": PUBLIC,
    "POST /signup/finish": PUBLIC,
    "GET /login": PUBLIC,
    "POST /login": PUBLIC,
    "GET /login/second": LEAVES,
    "POST /login/second": LEAVES,
    "GET /login/passkey": PUBLIC,
    "POST /login/passkey": PUBLIC,
    "POST /logout": LEAVES,
    "GET /forgot": PUBLIC,
    "POST /forgot": PUBLIC,
    "GET /recover": PUBLIC,
    "POST /recover": PUBLIC,
    "GET /verify": PUBLIC,
    "POST /verify": PUBLIC,
    "GET /address": PUBLIC,
    "POST /address": PUBLIC,
    "GET /account": PERSON,
    "POST /account": PERSON,
    "POST /account/verification": PERSON,
    "GET /account/address": PERSON,
    "POST /account/address": PERSON,
    "GET /account/password": PERSON,
    "POST /account/password": PERSON,
    "GET /account/sessions": PERSON,
    "POST /account/sessions/<public_id>/end": PERSON,
    "POST /account/sessions/end-others": PERSON,
    "GET /account/export": PERSON,
    "GET /account/close": PERSON,
    "POST /account/close": PERSON,
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
    "GET /account/security/codes/new": PERSON,
    "POST /account/security/codes/new": PERSON,
    "POST /account/security/browsers/forget": PERSON,
    "GET /organizations": PERSON,
    "GET /organizations/preview": PUBLIC,
    "GET /organizations/new": PERSON,
    "POST /organizations/new": PERSON,
    "GET /organizations/<slug>": "organization.view",
    "GET /organizations/<slug>/activity": "audit.view",
    "GET /organizations/<slug>/activity.csv": "audit.export",
    "GET /organizations/<slug>/activity.jsonl": "audit.export",
    "GET /organizations/<slug>/settings": "organization.view",
    "GET /organizations/<slug>/second-factor": "organization.require_second_factor",
    "POST /organizations/<slug>/second-factor": "organization.require_second_factor",
    "GET /organizations/<slug>/rename": "organization.rename",
    "POST /organizations/<slug>/rename": "organization.rename",
    "GET /organizations/<slug>/delete": "organization.delete",
    "POST /organizations/<slug>/delete": "organization.delete",
    "GET /organizations/<slug>/keys": "keys.manage",
    "GET /organizations/<slug>/keys/new": "keys.manage",
    "POST /organizations/<slug>/keys/new": "keys.manage",
    "GET /organizations/<slug>/keys/<key_id>/rotate": "keys.manage",
    "POST /organizations/<slug>/keys/<key_id>/rotate": "keys.manage",
    "GET /organizations/<slug>/keys/<key_id>/revoke": "keys.manage",
    "POST /organizations/<slug>/keys/<key_id>/revoke": "keys.manage",
    "GET /organizations/<slug>/members": "members.view",
    "GET /organizations/<slug>/members/<account_id>/role": "members.manage",
    "POST /organizations/<slug>/members/<account_id>/role": "members.manage",
    "GET /organizations/<slug>/members/<account_id>/remove": "members.manage",
    "POST /organizations/<slug>/members/<account_id>/remove": "members.manage",
    "GET /organizations/<slug>/members/<account_id>/ownership": "owners.manage",
    "POST /organizations/<slug>/members/<account_id>/ownership": "owners.manage",
    "POST /organizations/<slug>/members/<account_id>/ownership/withdraw": "owners.manage",
    "GET /organizations/<slug>/leave": "organization.leave",
    "POST /organizations/<slug>/leave": "organization.leave",
    "GET /organizations/<slug>/ownership": "members.view",
    "POST /organizations/<slug>/ownership": "members.view",
    "POST /organizations/<slug>/ownership/decline": "members.view",
    "GET /organizations/<slug>/invitations": "invitations.manage",
    "POST /organizations/<slug>/invitations": "invitations.manage",
    "POST /organizations/<slug>/invitations/<invitation_id>/resend": "invitations.manage",
    "POST /organizations/<slug>/invitations/<invitation_id>/withdraw": "invitations.manage",
    "GET /invitations/<token>": PUBLIC,
    "POST /invitations/<token>": PUBLIC,
    "GET /account/invitations": PERSON,
    "POST /account/invitations/<invitation_id>": PERSON,
    "GET /trash": PERSON,
    "GET /trash/<organization_id>": "organization.restore",
    "GET /trash/<organization_id>/restore": "organization.restore",
    "POST /trash/<organization_id>/restore": "organization.restore",
    "GET /trash/<organization_id>/purge": "organization.purge",
    "POST /trash/<organization_id>/purge": "organization.purge",
    "POST /org/create": PUBLIC,
    "GET /org/trash": PERSON,
    "GET /org/<name:name>": "organization.view",
    "GET /org/<name:name>/audit": "audit.export",
    "PUT /org/update/<name:name>": "organization.rename",
    "PUT /org/update": "organization.rename",
    "DELETE /org/delete/<name:name>": "organization.delete",
    "DELETE /org/delete": "organization.delete",
    "GET /org/<name:name>/members": "members.view",
    "PUT /org/<name:name>/members/<account_id>": "members.manage",
    "DELETE /org/<name:name>/members/<account_id>": "members.manage",
    "GET /org/<name:name>/invitations": "invitations.manage",
    "POST /org/<name:name>/invitations": "invitations.manage",
    "POST /org/<name:name>/invitations/<invitation_id>/resend": "invitations.manage",
    "DELETE /org/<name:name>/invitations/<invitation_id>": "invitations.manage",
    "POST /org/trash/<organization_id>/restore": "organization.restore",
    "DELETE /org/trash/<organization_id>": "organization.purge",
    "GET /org/<name:name>/keys": "keys.manage",
    "POST /org/<name:name>/keys": "keys.manage",
    "POST /org/<name:name>/keys/<key_id>/rotate": "keys.manage",
    "DELETE /org/<name:name>/keys/<key_id>": "keys.manage",
    "POST /admin/login": PUBLIC,
    "GET /auth/check": KNOWN,
}
API = [route for route in ROUTES if route.split("/")[1] in ("org", "auth", "admin")]
# Bodies that name the organization, where the address doesn't.
BODIES = {
    "PUT /org/update/<name:name>": {"new_organization_name": "Other"},
    "PUT /org/update": {"old_organization_name": "Acme Corp", "new_organization_name": "Other"},
    "DELETE /org/delete": {"organization_name": "Acme Corp"},
    "POST /org/<name:name>/keys": {"name": "Nightly export", "role": "viewer"},
    "PUT /org/<name:name>/members/<account_id>": {"role": "viewer"},
    "POST /org/<name:name>/invitations": {"email": "x@acme.example", "role": "viewer"},
}
ASKING = "teo@acme.example"
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
    if need in (PERSON, KNOWN):
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


@pytest.mark.attack("T3")
@pytest.mark.parametrize("role", ROLES_AND_NONE)
@pytest.mark.parametrize("route", ROUTES)
def test_who_gets_in_is_what_the_tables_say(app, route, role):
    method, rule = route.split()
    address = rule.replace("<slug>", "acme-corp").replace("<name:name>", "acme-corp")
    organization, email = prepare(role)
    if "<organization_id>" in rule:
        trash_organization(organization, None, a_context())
    address = fill(address, organization, email)
    asked = ask_api if rule.split("/")[1] in ("org", "auth", "admin") else ask_page
    answer = asked(app, method, address, BODIES.get(route), email)
    assert outcome(answer) == expected_of(route, role)


def expected_by_key(route, kind):
    need = ROUTES[route]
    if route == "POST /org/create":
        return IN  # as far as the body, which is empty
    if kind == PROVISIONING_KEY:
        return FORBIDDEN
    if need in (PUBLIC, KNOWN):
        return IN
    if need == PERSON or "<organization_id>" in route:
        return FORBIDDEN
    if kind == FOREIGN_KEY:
        return NOT_FOUND
    may = of_key(Role.VIEWER if kind == VIEWER_KEY else Role.ADMIN)
    return IN if need in may else FORBIDDEN


@pytest.mark.attack("T1", "T3")
@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("route", API)
def test_what_a_key_gets_into_is_what_the_tables_say(app, route, kind):
    method, rule = route.split()
    organization = an_organization("Acme Corp")
    made = {
        VIEWER_KEY: lambda: a_key(organization, Role.VIEWER),
        ADMIN_KEY: lambda: a_key(organization, Role.ADMIN),
        FOREIGN_KEY: lambda: a_key(an_organization("Other"), Role.ADMIN),
        PROVISIONING_KEY: lambda: provisioning.make_provisioning_key("Sales"),
    }
    program = Program(app, made[kind]())
    address = fill(rule.replace("<name:name>", "acme-corp"), organization, None)
    answer = program.ask(method, address, BODIES.get(route, {}) if method != "GET" else None)
    assert outcome(answer) == expected_by_key(route, kind)
    if answer.status_code == FORBIDDEN and kind in (VIEWER_KEY, ADMIN_KEY):
        code, told = answer.json["error"]["code"], answer.json["error"]["message"]
        assert code == "person_needed" or ROUTES[route] in told
    if (kind == ADMIN_KEY and answer.status_code == FORBIDDEN) or kind == FOREIGN_KEY:
        assert Organization.objects.get(id=organization.id).name == "Acme Corp"


def prepare(role):
    """An organization, and the address of an account that has the role in it."""
    organization = an_organization("Acme Corp")
    if role == NOBODY:
        return organization, None
    email = ASKING
    if role == STRANGER:
        an_account(email)
    else:
        a_member(organization, role, email)
    return organization, email


def fill(address, organization, email):
    """The address, with ids of what belongs to the organization, or to who asks."""
    if "<public_id>" in address and email:
        address = address.replace("<public_id>", str(a_session(email).public_id))
    if "<passkey_id>" in address:
        return address.replace("<passkey_id>", str(a_passkey(an_account("eve@acme.example")).id))
    if "<key_id>" in address:
        a_key(organization)
        key = managing.keys_of(organization)[0]
        address = address.replace("<key_id>", str(key.id))
    if "<account_id>" in address:
        member = a_member(organization, Role.VIEWER, "pia@acme.example")
        address = address.replace("<account_id>", str(member.id))
    if "<invitation_id>" in address:
        inviter = a_member(organization, Role.ADMIN, "pia@acme.example")
        invitation = an_invitation(organization, inviter, ASKING)
        address = address.replace("<invitation_id>", str(invitation.id))
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
