"""Whatever is sent, nothing breaks, and what is refused changes nothing.

Here each form is sent every other hostile value, in several fields at once, of all forms each, and
one drawn at random; ``make faults`` sends each field each value beside plausible ones, and many more
drawn at random.
"""

import zlib
from functools import partial
from urllib.parse import urlencode

import bson
import pytest
from bson import ObjectId
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from portal import clock
from portal.data.access import document_access
from portal.data.browsing.saved_views import save_view, views_of
from portal.data.document_ids import address_of
from portal.data.history.entries import list_edits
from portal.data.transfer import imports
from portal.data.writing import insert_documents
from portal.database.connection import client, tenant_database
from portal.documents.accounts import Account, OperatorRole
from portal.documents.api_keys import ApiKey, OperatorKey
from portal.documents.bulk_actions import BulkAction
from portal.documents.credentials import Credential
from portal.documents.memberships import Invitation, Membership, Role
from portal.documents.moves import MoveState
from portal.documents.organization_notes import OrganizationNote
from portal.documents.organizations import Organization
from portal.documents.restrictions import Hold, Suspension
from portal.documents.second_factors import Passkey
from portal.documents.sessions import Session
from portal.documents.support import SupportGrant
from portal.operators.bulk import managing as bulk
from portal.operators.keys import create_key
from portal.operators.organizations.notes import add_note
from portal.organizations.lifecycle.trashing import trash_organization
from portal.organizations.members.mails import token_of
from portal.organizations.moving.finding import open_move_of
from portal.organizations.storage import tenant_of
from portal.organizations.support import grants
from portal.settings import current
from portal.web.context import OPERATOR, RequestContext
from tests.conftest import traces
from tests.factories import (
    a_context,
    a_credential,
    a_hold,
    a_key,
    a_member,
    a_passkey,
    a_suspension,
    an_access,
    an_invitation,
    an_operator,
    an_organization,
    collections_in,
    the_owner,
    verify,
)
from tests.moving.records import a_move, a_way_back
from tests.visitor import PASSWORD

pytestmark = pytest.mark.slow

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


def examples(count):
    """Other ones at each run."""
    return settings(
        max_examples=count, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )


one, many = examples(1), examples(150)
# What a refused request may leave: who tried, how often, when it was seen, and what the form that
# is shown again needs.
TRACES = ("audit_events", "limit_counters", "challenges")
SEEN = ("seen_at", "audit_head", "offered_secret")


def state():
    """Everything that is stored, but for traces."""
    master, tenant = client()[current().master_db], tenant_database()
    look = [{"$unset": SEEN}, {"$replaceWith": {"of": "", "is": "$$ROOT"}}]
    looks = [
        {"$unionWith": {"coll": name, "pipeline": [*look, {"$set": {"of": name}}]}}
        for name in collections_in(master)
        if name not in TRACES
    ]
    stored = sorted(map(str, master.nothing.aggregate(looks)))
    collections = {found["name"]: found["info"]["uuid"] for found in tenant.list_collections()}
    return stored, collections


class Home:
    """Mara's browser, logged in, and her organization, whatever was sent before."""

    def __init__(self, visitor):
        self.visitor = visitor
        visitor.sign_up("Acme Corp")
        verify()
        self.account = Account.objects.get()
        self.changed, self.rule = True, None

    def go(self):
        """Where something was changed, have all be there that is wanted."""
        if self.changed:
            if self.visitor.get("/organizations").status != 200:
                self.visitor.log_in()
            self.token = self.visitor.token("/organizations/new")
            there = Organization.objects(state="active").first()
            self.organization = there or an_organization("Acme Corp", self.account)
        return self.organization

    def enter_console(self, inside):
        """Have the person be an operator-admin, or none, as what is sent next needs it."""
        person = Account.objects(id=self.account.id)
        if (person.get().operator_role is not None) == inside:
            return
        role = {"set__operator_role": OperatorRole.ADMIN} if inside else {"unset__operator_role": 1}
        person.update_one(set__has_second_factor=inside, **role)
        self.changed = True

    def send(self, method, rule, fields):
        """Send them, and see that nothing breaks and a refusal changes nothing."""
        organization = self.go()
        if self.changed or rule != self.rule:
            self.rule, self.path = rule, a_path(rule, organization)
        path = self.path
        self.enter_console(rule.startswith("/operator/"))
        if self.changed:
            self.before = state()
        with traces.apart() as written:
            if method == "GET":
                answer = self.visitor.client.get(path, query_string=encoded(fields))
            else:
                form = "application/x-www-form-urlencoded"
                body = encoded([("csrf_token", self.token), *fields])
                answer = self.visitor.client.post(path, data=body, content_type=form)
            wrote = written.wrote(besides=TRACES)
        assert answer.status_code < 500, (method, path, fields)
        self.changed = answer.status_code < 400 and method != "GET"
        if answer.status_code >= 400 and wrote:  # in vain, or nothing that is left
            assert state() == self.before, (method, path, fields)


@pytest.fixture
def home(visitor):
    return Home(visitor)


def a_path(rule, organization):
    """Of the organization, of one of its owner's in the trash, or of the owner."""
    account = Account.objects.get(email="mara@acme.example")
    if rule in MOVES and open_move_of(organization) is None:
        MOVES[rule](organization)
    if "<passkey_id>" in rule:
        passkey = Passkey.objects.first() or a_passkey(account)
        return rule.replace("<passkey_id>", str(passkey.id))
    if "<public_id>" in rule:
        return rule.replace("<public_id>", str(Session.objects.first().public_id))
    if "<credential_id>" in rule:
        if not Credential.objects:
            a_credential(organization)
        rule = rule.replace("<credential_id>", str(Credential.objects.first().id))
    if rule.startswith("/operator/"):
        rule = in_console(rule, organization, account)
    if rule.startswith("/operator/operators/"):
        rule = rule.replace("<account_id>", str(an_operator_besides(account).id))
    if "<key_id>" in rule:
        rule = rule.replace("<key_id>", str(a_key_for(organization, rule).id))
    if "/data/" in rule:
        rule = in_data(rule, organization)
    if "<grant_id>" in rule:
        rule = rule.replace("<grant_id>", str(a_grant_of(organization, rule).id))
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
    return restricting(rule, trashed).replace("<organization_id>", str(trashed.id))


def restricting(rule, organization):
    """With a suspension, a note or a hold of the organization, where the rule is about one."""
    if "<suspension_id>" in rule:
        suspension = Suspension.objects(open=True).first() or a_suspension(organization)
        return rule.replace("<suspension_id>", str(suspension.id))
    if "<note_id>" in rule:
        notes = OrganizationNote.objects(organization=organization.id)
        note = notes.first() or add_note(organization.id, "Called.", a_context())
        return rule.replace("<note_id>", str(note.id))
    if "<hold_id>" in rule:
        hold = Hold.objects(open=True).first() or a_hold(organization)
        return rule.replace("<hold_id>", str(hold.id))
    return rule


def in_console(rule, organization, account):
    """Of another operator, a member and an operators' key that there are."""
    if rule.startswith("/operator/operators/"):
        rule = rule.replace("<account_id>", str(an_operator_besides(account).id))
    if "<person_id>" in rule:
        rule = rule.replace("<person_id>", str(a_member_of(organization)))
    if "<bulk_id>" in rule:
        chosen, by_command = [str(organization.id)], RequestContext(OPERATOR)
        planned = BulkAction.objects(state="planned").first() or bulk.plan_these(
            "note", {"text": "Called."}, chosen, by_command
        )
        rule = rule.replace("<bulk_id>", str(planned.id))
    if rule.startswith("/operator/keys/"):
        keys = OperatorKey.objects(revoked_at=None)
        key = keys.first() or create_key("Billing", "support", clock.now().date(), a_context())
        rule = rule.replace("<key_id>", str(key.id))
    return rule


def an_operator_besides(account):
    """Another operator; there is one."""
    others = Account.objects(operator_role__exists=True, id__ne=account.id)
    return others.first() or an_operator(email=f"{ObjectId()}@portal.example")


def in_data(rule, organization):
    """Of a document, an edit, a view, an index and a file that there are."""
    access, context = an_access(organization), a_context(the_owner(organization))
    seen = document_access(access, context)
    if tenant_of(organization).find_one() is None:
        insert_documents(seen, [bson.encode({"_id": 1, "title": "First"})], None)
        tenant_of(organization).create_index("title")
    view = next(iter(views_of(seen)), None)
    if "<view_id>" in rule and view is None:
        save_view(access, "First ones", "sort=title", context, shared=True)
        [view] = views_of(seen)
    found = {
        "<address>": address_of(bson.encode({"": 1})),
        "<edit_id>": str(list_edits(organization).rows[0].id),
        "<view_id>": view and view.id,
        "<path:index_name>": "title_1",
        "<file_id>": str(ObjectId()),
        "<export_id>": str(ObjectId()),
        "<int:number>": "0",
    }
    if "<file_id>" in rule:
        file = imports.begin_upload(seen, "x.jsonl", zone="UTC")
        found["<file_id>"] = str(file.id)
    for name, value in found.items():
        rule = rule.replace(name, str(value))
    return rule


# What there must be for more than a refusal.
MOVES = {
    "/organizations/<slug>/placement/move/withdraw": partial(a_move, state=MoveState.REQUESTED),
    "/organizations/<slug>/placement/move/back": a_way_back,
    "/organizations/<slug>/placement/move/end": a_way_back,
}


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


def a_key_for(organization, rule):
    """A key of operators in the console, else of the organization."""
    if rule.startswith("/operator/keys/"):
        key = OperatorKey.objects(revoked_at=None).first()
        return key or create_key("Billing", "support", clock.now().date(), a_context())
    if not ApiKey.objects(organization=organization.id):
        a_key(organization)
    return ApiKey.objects(organization=organization.id).first()


def a_grant_of(organization, rule):
    """Support access in force where it is to be ended, else asked for."""
    context = RequestContext(OPERATOR)
    if rule.endswith("/end"):
        owner, access = a_context(the_owner(organization)), an_access(organization)
        found = SupportGrant.objects(organization=organization.id, state="granted").first()
        return found or grants.give(access, 1, owner, with_documents=False, reason="Help")
    found = SupportGrant.objects(organization=organization.id, state="asked").first()
    return found or grants.ask(organization.id, "Help", 1, context, with_documents=False)


def encoded(fields):
    """As a browser would, or a machine that sends bytes that are no UTF-8."""
    return urlencode([(name, value.encode("utf-8", "surrogatepass")) for name, value in fields])


FORMS = {
    "/signup": (
        "organization_name",
        "email",
        "password",
        "viewers_read_documents",
        "idempotency_key",
    ),
    "/signup/finish": ("token", "organization_name", "email", "password", "idempotency_key"),
    "/signup/password": ("organization_name", "email", "password"),
    "/login": ("email", "password", "next"),
    "/organizations/new": ("organization_name", "viewers_read_documents", "idempotency_key"),
    "/organizations/<slug>/adopt": ("uuid", "confirm_name", "idempotency_key"),
    "/organizations/<slug>/viewers": ("viewers_read_documents", "idempotency_key"),
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
    "/organizations/<slug>/credentials/new": ("name", "reach", "idempotency_key"),
    "/organizations/<slug>/credentials/<credential_id>/rotate": ("overlap", "idempotency_key"),
    "/organizations/<slug>/credentials/<credential_id>/end": (
        "although_in_use",
        "idempotency_key",
    ),
    "/organizations/<slug>/credentials/<credential_id>/revoke": ("idempotency_key",),
    "/organizations/<slug>/credentials/<credential_id>/move": ("idempotency_key",),
    "/organizations/<slug>/placement/move/request": ("region", "day", "idempotency_key"),
    "/organizations/<slug>/placement/move/withdraw": ("move", "idempotency_key"),
    "/organizations/<slug>/placement/move/back": ("move", "idempotency_key"),
    "/organizations/<slug>/placement/move/end": ("move", "idempotency_key"),
    "/organizations/<slug>/data/documents/<address>/edit": ("etag", "base", "do", "reason"),
    "/organizations/<slug>/data/documents/<address>/json": ("etag", "base", "text", "reason"),
    "/organizations/<slug>/data/documents/<address>/conflict": ("etag", "base", "typed"),
    "/organizations/<slug>/data/documents/new": ("id-kind", "id-text", "text", "do"),
    "/organizations/<slug>/data/documents/<address>/duplicate": ("id-kind", "id-text", "text"),
    "/organizations/<slug>/data/documents/<address>/delete": ("etag", "reason", "do"),
    "/organizations/<slug>/data/documents/<address>/erase": ("confirm_id", "idempotency_key"),
    "/organizations/<slug>/data/history/<edit_id>/undo": ("reason", "idempotency_key"),
    "/organizations/<slug>/data/history/<edit_id>/cancel": (),
    "/organizations/<slug>/data/history/settings": ("records_programs", "idempotency_key"),
    "/organizations/<slug>/data/bulk/delete": ("expected", "edit", "reason", "idempotency_key"),
    "/organizations/<slug>/data/bulk": (
        "changes-0-action",
        "changes-0-field",
        "changes-0-kind",
        "changes-0-value",
        "zone",
        "step",
        "expected",
        "edit",
        "idempotency_key",
    ),
    "/organizations/<slug>/data/indexes/new": (
        "purpose",
        "after",
        "unit",
        "which",
        "filter",
        "more",
        "idempotency_key",
    ),
    "/organizations/<slug>/data/indexes/<path:index_name>/drop": ("idempotency_key",),
    "/organizations/<slug>/data/indexes/<path:index_name>/hide": ("idempotency_key",),
    "/organizations/<slug>/data/indexes/<path:index_name>/unhide": ("idempotency_key",),
    "/organizations/<slug>/data/rules": ("schema", "edit"),
    "/organizations/<slug>/data/rules/force": (
        "schema",
        "breaking",
        "sampled",
        "level",
        "action",
        "idempotency_key",
    ),
    "/organizations/<slug>/data/rules/end": ("idempotency_key",),
    "/organizations/<slug>/data/masks/new": ("path", "idempotency_key"),
    "/organizations/<slug>/data/masks/remove": ("path", "idempotency_key"),
    "/organizations/<slug>/data/masks/pass-over": ("path", "idempotency_key"),
    "/organizations/<slug>/data/views/new": ("name", "whose", "idempotency_key"),
    "/organizations/<slug>/data/views/<view_id>/change": ("name", "version", "idempotency_key"),
    "/organizations/<slug>/data/views/<view_id>/delete": ("version", "idempotency_key"),
    "/organizations/<slug>/data/imports": (),
    "/organizations/<slug>/data/imports/uploads": ("size", "name"),
    "/organizations/<slug>/data/imports/<file_id>/parts/<int:number>": (),
    "/organizations/<slug>/data/imports/<file_id>/complete": (),
    "/organizations/<slug>/data/imports/<file_id>/reading": (
        "encoding",
        "delimiter",
        "heading",
        "member",
    ),
    "/organizations/<slug>/data/imports/<file_id>/decide": ("existing", "key", "stop", "t0", "f0"),
    "/organizations/<slug>/data/imports/<file_id>/write": (),
    "/organizations/<slug>/data/imports/<file_id>/indexes": ("index",),
    "/organizations/<slug>/data/imports/<file_id>/cancel": (),
    "/organizations/<slug>/data/imports/<file_id>/discard": (),
    "/organizations/<slug>/data/exports": (
        "expected",
        "growing",
        "format",
        "fields",
        "spreadsheet",
        "guarded",
        "gzip",
    ),
    "/organizations/<slug>/data/exports/<export_id>/delete": (),
    "/organizations/<slug>/support/give": ("reason", "documents", "hours", "idempotency_key"),
    "/organizations/<slug>/support/<grant_id>": ("documents", "hours", "idempotency_key"),
    "/organizations/<slug>/support/<grant_id>/decline": ("idempotency_key",),
    "/organizations/<slug>/support/<grant_id>/end": ("idempotency_key",),
    "/support/leave": (),
    "/operator/limits": (
        "plan",
        "documents",
        "bytes",
        "operations",
        "seen",
        "planned",
        "idempotency_key",
    ),
    "/operator/organizations/<organization_id>/limits": (
        "documents",
        "bytes",
        "operations",
        "seen",
        "idempotency_key",
    ),
    "/operator/organizations/<organization_id>/limits/count": (),
    "/operator/organizations/<organization_id>/support/ask": (
        "reason",
        "documents",
        "hours",
        "idempotency_key",
    ),
    "/operator/organizations/<organization_id>/support/<grant_id>/enter": (),
    "/operator/organizations/<organization_id>/support/<grant_id>/give-back": ("idempotency_key",),
    "/organizations/<slug>/second-factor": ("starts_on", "lift"),
    "/login/second": ("code", "credential", "trust"),
    "/login/passkey": ("credential",),
    "/account/confirm": ("current_password", "code", "credential"),
    "/account/security/app": ("code",),
    "/account/security/app/remove": (),
    "/account/security/passkeys/new": ("passkey_name", "credential"),
    "/account/security/passkeys/<passkey_id>": ("passkey_name",),
    "/account/security/passkeys/<passkey_id>/remove": ("idempotency_key",),
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
    "/account/sessions/<public_id>/end": ("idempotency_key",),
    "/account/sessions/end-others": (),
    "/operator/doctor/examine": ("idempotency_key",),
    "/operator/runners/<runner_id>/forget": ("idempotency_key",),
    "/operator/operations/<organization_id>/<operation_id>/retry": ("idempotency_key",),
    "/operator/operations/<organization_id>/<operation_id>/undo": ("idempotency_key",),
    "/operator/jobs/<job_id>/pause": ("idempotency_key",),
    "/operator/jobs/<job_id>/resume": ("idempotency_key",),
    "/operator/jobs/<job_id>/cancel": ("idempotency_key",),
    "/operator/outbox/retry": ("idempotency_key",),
    "/operator/placement": ("text", "version", "idempotency_key"),
    "/operator/organizations/<organization_id>/restrictions/new": (
        "kind",
        "cause",
        "contact",
        "message",
        "note",
        "idempotency_key",
    ),
    "/operator/organizations/<organization_id>/restrictions/<suspension_id>/lift": (
        "idempotency_key",
    ),
    "/operator/organizations/<organization_id>/hold": (
        "reason",
        "until",
        "read_only",
        "contact",
        "idempotency_key",
    ),
    "/operator/organizations/<organization_id>/hold/<hold_id>/release": ("idempotency_key",),
    "/operator/organizations/<organization_id>/notes": ("text", "idempotency_key"),
    "/operator/organizations/<organization_id>/notes/<note_id>/remove": ("idempotency_key",),
    "/operator/organizations/<organization_id>/plan": (
        "plan",
        "region",
        "seen",
        "idempotency_key",
    ),
    "/operator/organizations/<organization_id>/metadata": (
        "external_id",
        "metadata",
        "seen",
        "idempotency_key",
    ),
    "/operator/organizations/<organization_id>/owner": ("email", "idempotency_key"),
    "/operator/organizations/<organization_id>/rename": (
        "organization_name",
        "plan",
        "idempotency_key",
    ),
    "/operator/organizations/<organization_id>/restore": (
        "organization_name",
        "plan",
        "idempotency_key",
    ),
    "/operator/organizations/<organization_id>/trash": ("confirm_name", "plan", "idempotency_key"),
    "/operator/organizations/<organization_id>/purge": ("confirm_name", "plan", "idempotency_key"),
    "/operator/organizations/<organization_id>/move/new": ("plan", "switch", "idempotency_key"),
    "/operator/organizations/<organization_id>/move/approve": (
        "move",
        "plan",
        "switch",
        "idempotency_key",
    ),
    "/operator/organizations/<organization_id>/move/decline": ("move", "reason", "idempotency_key"),
    "/operator/organizations/<organization_id>/move/pause": ("move", "idempotency_key"),
    "/operator/organizations/<organization_id>/move/resume": ("move", "idempotency_key"),
    "/operator/organizations/<organization_id>/move/throttle": (
        "move",
        "documents_per_second",
        "neighbours_p99_ms",
        "idempotency_key",
    ),
    "/operator/organizations/<organization_id>/move/extend": ("move", "days", "idempotency_key"),
    "/operator/organizations/<organization_id>/move/switch": ("move", "idempotency_key"),
    "/operator/organizations/<organization_id>/move/abort": ("move", "idempotency_key"),
    "/operator/organizations/<organization_id>/move/back": ("move", "idempotency_key"),
    "/operator/organizations/<organization_id>/move/end": ("move", "idempotency_key"),
    "/operator/bulk/new": (
        "which",
        "action",
        "plan",
        "text",
        "kind",
        "cause",
        "contact",
        "message",
        "per_minute",
        "idempotency_key",
    ),
    "/operator/bulk/<bulk_id>/start": ("confirm_count", "idempotency_key"),
    "/operator/bulk/<bulk_id>/pause": ("idempotency_key",),
    "/operator/bulk/<bulk_id>/resume": ("idempotency_key",),
    "/operator/bulk/<bulk_id>/cancel": ("idempotency_key",),
    "/operator/bulk/<bulk_id>/retry": ("idempotency_key",),
    "/operator/enter": ("token", "email", "password", "idempotency_key"),
    "/operator/operators/new": ("email", "role", "idempotency_key"),
    "/operator/operators/<account_id>": ("role", "idempotency_key"),
    "/operator/operators/<account_id>/remove": ("idempotency_key",),
    "/operator/people/<person_id>/sessions/end": ("idempotency_key",),
    "/operator/people/<person_id>/factors/reset": ("idempotency_key",),
    "/operator/people/<person_id>/factors/keep": ("idempotency_key",),
    "/operator/people/<person_id>/block": ("reason", "idempotency_key"),
    "/operator/people/<person_id>/unblock": ("idempotency_key",),
    "/keep-factors": ("token", "idempotency_key"),
    "/account/security/keep": (),
    "/operator/keys/new": ("name", "role", "expires_on", "idempotency_key"),
    "/operator/keys/<key_id>/revoke": ("idempotency_key",),
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


SURPLUS = ("csrf_token", "surplus", "password[$gt]")


def sent_fields(names):
    name = st.sampled_from([*names, *SURPLUS])
    return st.lists(st.tuples(name, values), max_size=5)


def every_other_value_once(path):
    """Every other hostile value in one of the form's fields or in one that is surplus, as many at a
    time as there are of these. The other ones are sent to other forms."""
    own = set(FORMS[path]) - {"idempotency_key"}
    # Where nothing is typed they are sent several times over in one request.
    names = [*FORMS[path], *SURPLUS] * (1 if own else 3)
    hostile = NASTY[zlib.crc32(path.encode()) % 2 :: 2]
    return [
        list(zip(names, hostile[start : start + len(names)], strict=False))
        for start in range(0, len(hostile), len(names))
    ]


def each_value_in_each_field(names):
    """Each hostile value in each field by itself, beside what it takes to come further."""
    likely = dict(zip(names, LIKELY, strict=False))
    return [list({**likely, name: value}.items()) for name in (*names, *SURPLUS) for value in NASTY]


def try_form(home, path, sent, drawn):
    for fields in sent:
        home.send("POST", path, fields)

    @drawn
    @given(sent_fields(FORMS[path]))
    @example(list(zip(FORMS[path], LIKELY, strict=False)))
    def is_answered(fields):
        home.send("POST", path, fields)

    is_answered()


LIKELY = ("Acme Corp", "a@b", "x")
each_form = pytest.mark.parametrize("path", sorted(FORMS))


@pytest.mark.attack("N1", "Q1", "D3")
@each_form
def test_no_form_breaks_and_refused_ones_change_nothing(home, path):
    try_form(home, path, every_other_value_once(path), one)


@pytest.mark.attack("N1", "Q1", "D3")
@pytest.mark.full
@pytest.mark.timeout(600)
@each_form
def test_no_field_of_a_form_breaks_and_refused_ones_change_nothing(home, path):
    try_form(home, path, each_value_in_each_field(FORMS[path]), many)


def pages(app):
    rules = [rule.rule for rule in app.url_map.iter_rules() if "GET" in rule.methods]
    return [rule for rule in rules if rule.split("/")[1] not in ("org", "admin", "auth")]


as_each = pytest.mark.parametrize("known", [True, False], ids=["logged in", "stranger"])


@pytest.fixture
def asking(app, home, known):
    """As who is logged in, or as a stranger; what pages are about is there."""
    organization = home.go()
    for page in pages(app):
        a_path(page, organization)
    if not known:
        home.visitor.client.delete_cookie("portal_session_test")
    home.before, home.changed = state(), False
    return home


@pytest.mark.attack("Q1", "D3")
@as_each
def test_no_query_parameter_breaks_a_page(app, asking):
    """Each page gets each parameter, with one value or another."""
    for n, page in enumerate(pages(app)):
        hostile = [NASTY[(n + k) % len(NASTY)] for k in range(len(QUERIES))]
        asking.send("GET", page, list(zip(QUERIES, hostile, strict=True)))


@pytest.mark.attack("Q1", "D3")
@pytest.mark.full
@pytest.mark.timeout(600)
@as_each
def test_no_mixture_of_query_parameters_breaks_a_page(app, asking):
    @examples(600)
    @given(
        st.sampled_from(pages(app)),
        st.lists(st.tuples(st.sampled_from(QUERIES), values), max_size=3),
    )
    def is_answered(page, fields):
        asking.send("GET", page, fields)

    is_answered()


PATTERNS = (
    "/organizations/{}",
    "/organizations/{}/rename",
    "/organizations/acme-corp/members/{}/role",
    "/organizations/acme-corp/members/{}/remove",
    "/invitations/{}",
    "/trash/{}",
    "/trash/{}/restore",
    "/organizations/acme-corp/keys/{}/rotate",
    "/organizations/acme-corp/credentials/{}/rotate",
    "/org/{}",
    "/org/{}/members",
    "/org/acme-corp/documents/{}",
    "/org/acme-corp/indexes/{}",
    "/static/{}",
    "/{}",
)


def go_to(home, pattern, value):
    path = pattern.format(value.encode("utf-8", "replace").decode())
    place = {"PATH_INFO": path.encode().decode("latin-1")}
    assert home.visitor.client.open(environ_overrides=place).status_code < 500, path


@pytest.mark.attack("N1", "D3")
def test_no_address_breaks(home):
    for pattern in PATTERNS:
        for value in NASTY:
            go_to(home, pattern, value)


@pytest.mark.attack("N1", "D3")
@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_no_address_at_random_breaks(home, pattern):
    @many
    @given(st.one_of(values, st.text(max_size=30)))
    def is_answered(value):
        go_to(home, pattern, value)

    is_answered()
