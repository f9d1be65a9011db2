"""Each door to an organization, and what a suspension of each kind makes of it.

A new door gets its row here; the table in docs/operators.md says the same.
"""

import re

import pytest

from portal.applications import managing
from portal.data.access import document_access
from portal.data.formats.options import Format, WriteOptions
from portal.data.queries import Query
from portal.data.transfer import exports
from portal.data.transfer.exports import DocumentReader, export_content, start_export
from portal.database.connection import server_time
from portal.documents.jobs import Job, JobState
from portal.documents.memberships import Role
from portal.documents.organizations import Organization, Restriction
from portal.documents.restrictions import Cause, Suspension
from portal.errors import NotFound
from portal.jobs import runner
from portal.mail import sender
from portal.organizations.access.errors import OrganizationSuspended
from portal.organizations.lifecycle.restricting import (
    Reason,
    lift_suspension,
    suspend_organization,
)
from portal.organizations.members.inviting import invite
from portal.organizations.storage import tenant_of
from portal.tenants import Tenants
from portal.tenants.errors import Locked
from portal.web.context import RequestContext
from tests.factories import a_context, a_key, an_access, fresh, the_owner, verify
from tests.mail.post_office import text_of
from tests.program import Program
from tests.visitor import Visitor

REASON = Reason(Cause.ABUSE, "abuse@portal.example", "Spam was sent from here.")
KINDS = tuple(Restriction)


def by_kind(*expected):
    return list(zip(KINDS, expected, strict=True))


@pytest.fixture
def mara(visitor):
    visitor.sign_up("Acme Corp")
    verify()
    return visitor


@pytest.fixture
def acme(mara):
    organization = Organization.objects.get(slug="acme-corp")
    tenant_of(organization).insert_many([{"_id": n} for n in range(3)])
    return organization


@pytest.fixture
def suspend(acme):
    return lambda kind: suspend_organization(fresh(acme), kind, REASON, a_context())


@pytest.fixture
def lift_all(acme):
    def lift_all():
        for suspension in Suspension.objects(open=True):
            lift_suspension(fresh(acme), suspension.id, a_context())

    return lift_all


@pytest.fixture
def key(app, acme):
    """A program by a key of the organization that reads and writes documents."""
    permissions = ("organization.view", "documents.read", "documents.write")
    return Program(app, a_key(acme, None, permissions))


@pytest.fixture
def person(app, acme):
    """A program by a token of the owner."""
    program = Program(app)
    program.log_in()
    return program


HTTP = {
    "a page": ("mara", "GET", "/organizations/acme-corp", None, (200, 423, 404)),
    "members": ("mara", "GET", "/organizations/acme-corp/members", None, (200, 423, 404)),
    "documents": ("mara", "GET", "/organizations/acme-corp/data", None, (200, 423, 404)),
    "the page to rename": ("mara", "GET", "/organizations/acme-corp/rename", None, (423, 423, 404)),
    "the page to leave": ("mara", "GET", "/organizations/acme-corp/leave", None, (200, 200, 404)),
    "the call of a person": ("person", "GET", "/org/acme-corp", None, (200, 423, 404)),
    "the call of a key": ("key", "GET", "/org/acme-corp", None, (200, 423, 404)),
    "the call by name": ("key", "GET", "/org/Acme%20Corp", None, (200, 423, 404)),
    "the call by id": ("person", "GET", "/org/by-id/{id}", None, (200, 423, 404)),
    "a rename": ("person", "PUT", "/org/update/acme-corp",
                 {"new_organization_name": "Other"}, (423, 423, 404)),
    "a deletion": ("person", "DELETE", "/org/delete/acme-corp", None, (423, 423, 404)),
    "reading documents": ("key", "GET", "/org/acme-corp/documents", None, (200, 423, 404)),
    "writing a document": ("key", "POST", "/org/acme-corp/documents", {"a": 1}, (423, 423, 404)),
    "an export": ("key", "POST", "/org/acme-corp/exports", {}, (202, 423, 404)),
    "an import": ("key", "POST", "/org/acme-corp/imports",
                  {"name": "a.jsonl", "bytes": 1}, (423, 423, 404)),
}  # fmt: skip


@pytest.mark.attack("H1")
@pytest.mark.parametrize("kind", KINDS)
def test_each_page_and_call_asks(kind, suspend, mara, person, key, acme):
    """One after the other: those that are let in change nothing of the organization."""
    suspend(kind)
    told, programs = {}, {"person": person, "key": key}
    for door, (who, method, template, body, _) in HTTP.items():
        path = template.format(id=acme.id)
        if who == "mara":
            told[door] = mara.get(path).status
            continue
        answer = programs[who].ask(method, path, body)
        told[door] = answer.status_code
        if answer.status_code == 423:
            details = answer.json["error"]["details"]
            assert details == {"kind": kind, "message": REASON.message, "contact": REASON.contact}
    assert told == {door: answers[KINDS.index(kind)] for door, (*_, answers) in HTTP.items()}


def test_members_read_on_every_page_why_and_whom_to_write_to(suspend, mara):
    suspend(Restriction.READ_ONLY)
    for path in ("", "/members", "/activity", "/settings", "/data"):
        page = mara.get(f"/organizations/acme-corp{path}")
        assert REASON.message in page.text
        assert REASON.contact in page.text
    assert not mara.get("/organizations/acme-corp").html.find("a", string="Rename")
    suspend(Restriction.LOCKED)
    page = mara.get("/organizations/acme-corp")
    assert (page.heading, page.status) == ("This organization is locked", 423)
    assert REASON.message in page.text
    assert REASON.contact in page.text
    assert "Locked" in mara.get("/organizations").text
    suspend(Restriction.HIDDEN)
    assert "Acme" not in mara.get("/organizations").text


def test_members_and_programs_are_told_of_each_suspension_the_strictest_first(acme, mara, key):
    for kind, *reason in (
        (Restriction.READ_ONLY, Cause.PAYMENT, "billing@portal.example", "An invoice is open."),
        (Restriction.READ_ONLY, Cause.REQUEST, "support@portal.example", None),
        (Restriction.READ_ONLY, Cause.OTHER, "billing@portal.example", "A card has expired."),
    ):
        suspend_organization(fresh(acme), kind, Reason(*reason, None), a_context())
    told = [item.get_text(strip=True) for item in
            mara.get("/organizations/acme-corp").html.select(".flash li")]  # fmt: skip
    assert told == [
        "An invoice is open. Write to billing@portal.example.",
        "Write to support@portal.example.",
        "A card has expired. Write to billing@portal.example.",
    ]
    suspend_organization(fresh(acme), Restriction.LOCKED, REASON, a_context())
    page, each = (
        mara.get("/organizations/acme-corp"),
        (
            "Spam was sent from here. Write to abuse@portal.example. "
            "An invoice is open. A card has expired. Write to billing@portal.example. "
            "Write to support@portal.example."
        ),
    )
    assert (page.status, each in page.text) == (423, True)
    error = key.get("/org/acme-corp").json["error"]
    assert each in error["message"]
    assert error["details"] == {
        "kind": "locked",
        "message": "Spam was sent from here. An invoice is open. A card has expired.",
        "contact": "abuse@portal.example, billing@portal.example, support@portal.example",
    }


@pytest.mark.parametrize(("kind", "told"), by_kind(True, False, False))
def test_who_lets_people_in_by_the_check_is_told_of_none_that_is_locked(
    kind, told, suspend, person, key
):
    suspend(kind)
    for program in (person, key):
        assert bool(program.get("/auth/check").json["organizations"]) == told


@pytest.mark.parametrize(("kind", "open_door"), by_kind(True, False, False))
def test_a_result_that_is_being_read_ends(kind, open_door, suspend, acme):
    seen = document_access(an_access(acme), a_context(the_owner(acme)))
    pages = DocumentReader(seen, {}, {}).pages(None)
    suspend(kind)
    assert _goes_on(lambda: next(pages)) == open_door


@pytest.mark.parametrize(("kind", "open_door"), by_kind(True, False, False))
def test_a_download_ends_at_its_next_part(kind, open_door, suspend, acme, monkeypatch):
    monkeypatch.setattr(exports, "CHUNK_BYTES", 10)
    seen = document_access(an_access(acme), a_context(the_owner(acme)))
    made = start_export(seen, Query(), WriteOptions(Format.JSON_LINES), "all")
    runner.run_due_jobs()
    parts = export_content(seen, exports.find_export(acme, made.file.id))
    assert next(parts)
    suspend(kind)
    assert _goes_on(lambda: next(parts)) == open_door


@pytest.mark.parametrize(("kind", "done"), by_kind(True, False, False))
def test_a_queued_job_waits_and_goes_on_when_that_is_lifted(kind, done, suspend, lift_all, acme):
    seen = document_access(an_access(acme), a_context(the_owner(acme)))
    job = start_export(seen, Query(), WriteOptions(Format.JSON_LINES), "all").job
    suspend(kind)
    runner.run_due_jobs()
    assert (Job.objects.get(id=job.id).state == JobState.DONE) == done
    lift_all()
    Job.objects(id=job.id).update_one(set__due_at=server_time())
    runner.run_due_jobs()
    assert Job.objects.get(id=job.id).state == JobState.DONE


def test_a_watch_goes_on_while_read_only_and_ends_when_locked(suspend, acme, admin):
    uri = managing.add_application("shop", {"main": admin}, RequestContext()).uri
    try:
        with Tenants(uri) as tenants, tenants["acme-corp"].watch(max_await_time_ms=50) as stream:
            tenants["acme-corp"].insert_one({"_id": "seen"})
            assert next(stream)["documentKey"] == {"_id": "seen"}
            suspend(Restriction.READ_ONLY)
            assert [stream.try_next() for _ in range(5)] == [None] * 5
            assert stream.alive
            suspend(Restriction.LOCKED)
            with pytest.raises(Locked):
                next(stream)
            assert not stream.alive
    finally:
        managing.remove_application("shop", {"main": admin}, RequestContext())


@pytest.mark.parametrize(("kind", "status"), by_kind(200, 423, 410))
def test_an_invitation_is_worth_nothing_while_locked(kind, status, suspend, acme, app, office):
    invite(an_access(acme), "lena@acme.example", Role.VIEWER, a_context(the_owner(acme)))
    sender.send_due_mails(app)
    text = text_of(office.to("lena@acme.example")[-1])
    [path] = re.findall(r"http://localhost(/invitations/\S+)", text)
    suspend(kind)
    assert Visitor(app).get(path).status == status


def _goes_on(read):
    try:
        read()
    except (NotFound, OrganizationSuspended):
        return False
    return True
