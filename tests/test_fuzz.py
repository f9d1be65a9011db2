"""Whatever is sent, nothing breaks, and what is refused changes nothing."""

from urllib.parse import urlencode

import pytest
from bson import ObjectId
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from portal.database.connection import client, tenant_database
from portal.documents.accounts import Account
from portal.documents.api_keys import ApiKey
from portal.documents.invitations import Invitation
from portal.documents.memberships import Membership, Role
from portal.documents.organizations import Organization
from portal.documents.second_factors import Passkey
from portal.documents.sessions import Session
from portal.organizations.lifecycle.trashing import trash_organization
from portal.organizations.members.mails import token_of
from portal.settings import current
from tests.factories import (
    a_context,
    a_key,
    a_member,
    a_passkey,
    an_invitation,
    an_organization,
    verify,
)
from tests.visitor import PASSWORD

NASTY = [
    "", " ", "\0", "a\0b", "\n", "a\r\nb: c", "\u202eabc", "\u200b", "\ud800", "\udfff", "🙂", "x" * 10_000, "[]", "{}",
    "$where", '{"$ne": null}', "system.", "..", "../..", "admin", "create", "<script>alert(1)</script>", "{{7*7}}",
    "=1+1", "%00", "%", "a" * 80, "Ａ Ｂ", "a\u0301" * 20, "-1", "9" * 400, "NaN", "null", "true", "//evil", "acme-corp", "2026-11-25", "organization.renamed", "the portal",
]  # fmt: skip
PLAUSIBLE = [
    "Acme Corp",
    "Other",
    "mara@acme.example",
    "new@acme.example",
    PASSWORD,
    "another good passphrase",
    "viewer",
    "chosen",
    "2031-01-31",
]
values = st.one_of(st.sampled_from(NASTY), st.sampled_from(PLAUSIBLE), st.text(max_size=100))
patiently = settings(
    max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None
)
# There are more than fifty, and other examples at each run.
for_each_form = settings(patiently, max_examples=60)
# What a refused request may leave: who tried, how often, when it was seen, and what the form that
# is shown again needs.
TRACES = ("audit_events", "limit_counters", "challenges")
SEEN = ("seen_at", "audit_head", "offered_secret")


def state():
    """Everything that is stored, but for traces."""
    master, tenant = client()[current().master_db], tenant_database()
    stored = {
        name: sorted(map(str, map(without_traces, master[name].find())))
        for name in master.list_collection_names()
        if name not in TRACES
    }
    collections = {found["name"]: found["info"]["uuid"] for found in tenant.list_collections()}
    return stored, collections


def without_traces(document):
    return {name: value for name, value in document.items() if name not in SEEN}


@pytest.fixture
def mara(visitor):
    """Logged in, and owner of Acme Corp, whatever was sent before."""
    visitor.sign_up("Acme Corp")
    verify()
    account = Account.objects.get()

    def at_home():
        if visitor.get("/organizations").status != 200:
            visitor.log_in()
        there = Organization.objects(state="active").first()
        return visitor, there or an_organization("Acme Corp", account)

    return at_home


def a_path(rule, organization):
    """Of the organization, of one of its owner's in the trash, or of the owner."""
    account = Account.objects.get(email="mara@acme.example")
    if "<passkey_id>" in rule:
        passkey = Passkey.objects.first() or a_passkey(account)
        return rule.replace("<passkey_id>", str(passkey.id))
    if "<public_id>" in rule:
        return rule.replace("<public_id>", str(Session.objects.first().public_id))
    if "<key_id>" in rule:
        if not ApiKey.objects(organization=organization.id):
            a_key(organization)
        key = ApiKey.objects(organization=organization.id).first()
        rule = rule.replace("<key_id>", str(key.id))
    if "<organization_id>" not in rule:
        return (
            rule.replace("<slug>", organization.slug)
            .replace("<account_id>", str(a_member_of(organization)))
            .replace("<invitation_id>", str(an_invitation_to(organization, account).id))
            .replace("<token>", token_of(an_invitation_to(organization, account)))
        )
    trashed = Organization.objects(state="trashed").first()
    if trashed is None:
        trashed = an_organization(f"Trashed {ObjectId()}", account)
        trash_organization(trashed, None, a_context(account))
    return rule.replace("<organization_id>", str(trashed.id))


def a_member_of(organization):
    """The account of a member who is no owner; there is one."""
    members = Membership.objects(organization=organization.id, role__ne=Role.OWNER)
    member = members.first()
    if member is None:
        return a_member(organization, Role.VIEWER, f"{ObjectId()}@acme.example").id
    return member.account


def an_invitation_to(organization, account):
    """One that nobody has answered; there is one."""
    found = Invitation.objects(organization=organization.id, state="open").first()
    return found or an_invitation(organization, account, "lena@acme.example")


def encoded(fields):
    """As a browser would, or a machine that sends bytes that are no UTF-8."""
    return urlencode([(name, value.encode("utf-8", "surrogatepass")) for name, value in fields])


def send(visitor, method, path, fields):
    before = state()
    if method == "GET":
        answer = visitor.client.get(path, query_string=encoded(fields))
    else:
        form_at = "/organizations/new" if logged_in(visitor) else "/login"
        body = encoded([("csrf_token", visitor.token(form_at)), *fields])
        form = "application/x-www-form-urlencoded"
        answer = visitor.client.post(path, data=body, content_type=form)
    assert answer.status_code < 500, (method, path, fields)
    if answer.status_code >= 400:
        assert state() == before, (method, path, fields)


def logged_in(visitor):
    return visitor.get("/organizations").status == 200


FORMS = {
    "/signup": ("organization_name", "email", "password", "idempotency_key"),
    "/signup/finish": ("token", "organization_name", "email", "password", "idempotency_key"),
    "/signup/password": ("organization_name", "email", "password"),
    "/login": ("email", "password", "next"),
    "/organizations/new": ("organization_name", "idempotency_key"),
    "/organizations/<slug>/rename": ("organization_name", "idempotency_key"),
    "/organizations/<slug>/delete": ("confirm_name", "idempotency_key"),
    "/organizations/<slug>/members/<account_id>/role": ("role", "idempotency_key"),
    "/organizations/<slug>/members/<account_id>/remove": ("idempotency_key",),
    "/organizations/<slug>/members/<account_id>/ownership": ("role", "idempotency_key"),
    "/organizations/<slug>/members/<account_id>/ownership/withdraw": ("idempotency_key",),
    "/organizations/<slug>/leave": ("idempotency_key",),
    "/organizations/<slug>/ownership": ("offer", "idempotency_key"),
    "/organizations/<slug>/ownership/decline": ("offer", "idempotency_key"),
    "/organizations/<slug>/invitations": ("email", "role", "idempotency_key"),
    "/organizations/<slug>/invitations/<invitation_id>/resend": ("idempotency_key",),
    "/organizations/<slug>/invitations/<invitation_id>/withdraw": ("idempotency_key",),
    "/invitations/<token>": ("email", "password", "idempotency_key"),
    "/account/invitations/<invitation_id>": ("idempotency_key",),
    "/trash/<organization_id>/restore": ("organization_name", "idempotency_key"),
    "/trash/<organization_id>/purge": ("confirm_name", "idempotency_key"),
    "/organizations/<slug>/keys/new": (
        "name",
        "grant",
        "permissions",
        "expires_on",
        "idempotency_key",
    ),
    "/organizations/<slug>/keys/<key_id>/rotate": ("overlap", "idempotency_key"),
    "/organizations/<slug>/keys/<key_id>/revoke": ("idempotency_key",),
    "/organizations/<slug>/second-factor": ("starts_on", "lift"),
    "/login/second": ("code", "credential", "trust"),
    "/login/passkey": ("credential",),
    "/account/confirm": ("current_password", "code", "credential"),
    "/account/security/app": ("code",),
    "/account/security/app/remove": (),
    "/account/security/passkeys/new": ("passkey_name", "credential"),
    "/account/security/passkeys/<passkey_id>": ("passkey_name",),
    "/account/security/passkeys/<passkey_id>/remove": (),
    "/account/security/codes/new": (),
    "/account/security/browsers/forget": (),
    "/forgot": ("email",),
    "/recover": ("token", "password"),
    "/verify": ("token", "password"),
    "/address": ("token", "current_password"),
    "/account": ("name", "time_zone", "theme"),
    "/account/verification": (),
    "/account/address": ("email", "current_password"),
    "/account/password": ("current_password", "password"),
    "/account/sessions/<public_id>/end": (),
    "/account/sessions/end-others": (),
    "/account/close": ("confirm_email", "current_password"),
    "/logout": (),
}
QUERIES = (
    "q",
    "before",
    "after",
    "next",
    "organization_name",
    "renames",
    "action",
    "who",
    "from",
    "to",
    "token",
)


def test_every_form_there_is_is_tried(app):
    posts = {rule.rule for rule in app.url_map.iter_rules() if "POST" in rule.methods}
    assert {path for path in posts if path.split("/")[1] not in ("org", "admin", "auth")} == set(
        FORMS
    )


def sent_fields(names):
    name = st.sampled_from([*names, "csrf_token", "surplus", "password[$gt]"])
    return st.lists(st.tuples(name, values), max_size=5)


@pytest.mark.attack("N1", "Q1", "D3")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", sorted(FORMS))
def test_no_form_breaks_and_refused_ones_change_nothing(mara, path):
    @for_each_form
    @given(sent_fields(FORMS[path]))
    @example(
        [(name, value) for name, value in zip(FORMS[path], ("Acme Corp", "a@b", "x"), strict=False)]
    )
    def is_answered(fields):
        visitor, organization = mara()
        send(visitor, "POST", a_path(path, organization), fields)

    is_answered()


@pytest.mark.attack("Q1", "D3")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("known", [True, False], ids=["logged in", "stranger"])
def test_no_query_parameter_breaks_a_page(app, mara, visitor, known):
    rules = [rule.rule for rule in app.url_map.iter_rules() if "GET" in rule.methods]
    paths = st.sampled_from(
        [rule for rule in rules if rule.split("/")[1] not in ("org", "admin", "auth")]
    )

    @patiently
    @given(paths, st.lists(st.tuples(st.sampled_from(QUERIES), values), max_size=3))
    def is_answered(path, fields):
        visitor, organization = mara()
        if not known:
            visitor.client.delete_cookie("portal_session_test")
        send(visitor, "GET", a_path(path, organization), fields)

    is_answered()


@pytest.mark.attack("N1", "D3")
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "pattern",
    [
        "/organizations/{}",
        "/organizations/{}/rename",
        "/organizations/acme-corp/members/{}/role",
        "/organizations/acme-corp/members/{}/remove",
        "/invitations/{}",
        "/trash/{}",
        "/trash/{}/restore",
        "/organizations/acme-corp/keys/{}/rotate",
        "/org/{}",
        "/org/{}/members",
        "/static/{}",
        "/{}",
    ],
)
def test_no_address_breaks(mara, pattern):
    @patiently
    @given(st.one_of(values, st.text(max_size=30)))
    def is_answered(value):
        visitor, _ = mara()
        path = pattern.format(value.encode("utf-8", "replace").decode())
        answer = visitor.client.open(
            environ_overrides={"PATH_INFO": path.encode().decode("latin-1")}
        )
        assert answer.status_code < 500

    is_answered()
