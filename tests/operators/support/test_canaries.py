"""Canaries are planted in a customer's documents, and looked for in all that operators get, whatever
their session claims."""

import json
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta

import bson
import pytest
import requests
from bson import ObjectId

from portal import clock
from portal.data import writing
from portal.data.access import document_access
from portal.data.document_ids import address_of
from portal.data.formats.options import Format, WriteOptions
from portal.data.history.entries import list_edits
from portal.data.queries import Query
from portal.data.transfer.exports import start_export
from portal.database import connection
from portal.database.users import users_in
from portal.documents.accounts import OperatorRole
from portal.documents.audit import AuditEvent
from portal.documents.document_views import DocumentView
from portal.documents.jobs import Job
from portal.documents.sessions import Session
from portal.documents.support import GrantState, SupportGrant
from portal.identity.sessions import sessions
from portal.jobs import runner
from portal.organizations import storage
from portal.organizations.access import guards, lookup
from portal.organizations.support.reading import PREFIX
from portal.permissions import ALL
from tests.factories import a_context, an_access, an_organization, the_owner
from tests.processes import portal

from .conftest import CANARY

OF_NOTHING = ("/docs", "/healthz", "/readyz", "/logout")


@pytest.fixture
def full(planted):
    """An organization in which documents were changed, exported and searched for, by a view too."""
    access = an_access(planted)
    owner = document_access(access, a_context(the_owner(planted)))
    writing.insert_documents(owner, [bson.encode({"_id": 9, "city": f"{CANARY}-9"})], None)
    start_export(owner, Query(), WriteOptions(Format.CSV), "all documents")
    runner.run_due_jobs()
    words = {"name": "Graz", "name_key": "graz", "query": f'filter={{"city":"{CANARY}-9"}}'}
    DocumentView(organization=planted.id, created_at=clock.now(), **words).save()
    return planted


def every_path(app, organization, method="GET"):
    """The paths of all routes that take the method, with their variables filled."""
    [export] = Job.objects(organization=organization.id, kind="export")
    address = address_of(bson.encode({"": 9}))
    values = {
        "organization_id": organization.id,
        "slug": organization.slug,
        "name": organization.slug,
        "address": address,
        "document_id": "9",
        "edit_id": list_edits(organization).rows[0].id,
        "file_id": export.parameters["file"],
        "export_id": export.parameters["file"],
        "job_id": export.id,
        "grant_id": getattr(SupportGrant.objects.first(), "id", ObjectId()),
        "view_id": DocumentView.objects.get(organization=organization.id).id,
        "account_id": organization.created_by,
        "person_id": organization.created_by,
        "index_name": "_id_",
        "number": 0,
    }
    for rule in app.url_map.iter_rules():
        if method in rule.methods and not rule.rule.startswith(OF_NOTHING):
            filled = {name: values.get(name, ObjectId()) for name in rule.arguments}
            yield rule.build(filled, append_unknown=False)[1]


def every_change(app, organization):
    """The method and path of all that takes one other than GET."""
    methods = ("POST", "PUT", "PATCH", "DELETE")
    return [(method, path) for method in methods for path in every_path(app, organization, method)]


SEARCHES = ("as=json", "sort=city", 'filter={"city":{"$regex":"7c2e"}}', "count=1&filter={}")


def walk(app, get, organization, below="/"):
    """Ask for everything there is ``below`` a path; the paths that told a document."""
    data = f"/organizations/{organization.slug}/data"
    paths = {*every_path(app, organization), *(f"{data}?{search}" for search in SEARCHES)}
    found = []
    for path in sorted(path for path in paths if path.startswith(below)):
        answer = get(path)
        assert answer.status_code < 500, path
        if CANARY.encode() in answer.get_data() + str(answer.headers).encode():
            found.append(path)
    return found


def assert_nothing_recorded(log):
    """Neither the log nor any trail has a document."""
    assert CANARY not in log.text
    events = json.dumps([event.to_mongo() for event in AuditEvent.objects], default=str)
    assert CANARY not in events


def another_organizations(organization, given):
    return given(an_organization("Borealis")).id


def without_documents(organization, given):
    return given(organization, with_documents=False).id


def expired(organization, given):
    grant = given(organization)
    SupportGrant.objects(id=grant.id).update(set__ends_at=clock.now() - timedelta(seconds=1))
    return grant.id


def revoked(organization, given):
    grant = given(organization)
    SupportGrant.objects(id=grant.id).update(set__state=GrantState.ENDED)
    return grant.id


def anothers(organization, given):
    grant = given(organization)
    SupportGrant.objects(id=grant.id).update(set__operator=ObjectId())
    return grant.id


def asked_for(organization, given):
    grant = given(organization)
    SupportGrant.objects(id=grant.id).update(set__state=GrantState.ASKED, set__asked_at=clock.now())
    return grant.id


def none_at_all(organization, given):
    return None


def that_never_was(organization, given):
    return ObjectId()


CLAIMS = (
    none_at_all,
    that_never_was,
    another_organizations,
    without_documents,
    expired,
    revoked,
    anothers,
    asked_for,
)


def each(*default):
    """The claims, of which these are tried each time."""
    return pytest.mark.parametrize(
        "claim",
        [pytest.param(one, marks=() if one in default else pytest.mark.full) for one in CLAIMS],
    )


def forge(desk, grant_id):
    """Write into the session of the desk's browser that it acts by this grant."""
    Session.objects.update(set__grant=grant_id) if grant_id else None


@pytest.mark.attack("O3")
@each(expired)
def test_no_document_is_told_by_a_session_that_claims_a_grant(
    app, desk_of, full, given, log, claim
):
    desk = desk_of(OperatorRole.ADMIN)
    forge(desk, claim(full, given))
    assert walk(app, desk.client.get, full) == []
    assert_nothing_recorded(log)


@pytest.fixture
def all_doors_open(monkeypatch, full):
    """Whatever is asked before documents are read says yes: any grant holds, and it may do all.
    What somebody typed of documents into a view is guarded by nothing else, and left out."""
    DocumentView.objects.update(set__query="")
    honest = sessions._support_principal

    def claimed(*given):
        told = honest(*given)
        return told and replace(told, over=False, with_documents=True, organization_id=full.id)

    monkeypatch.setattr(sessions, "_support_principal", claimed)
    monkeypatch.setattr(lookup, "of_support", lambda *, with_documents: ALL)
    monkeypatch.setattr(guards, "record_page", lambda *given: None)
    monkeypatch.setattr(guards, "while_in_force", nullcontext)


@pytest.mark.attack("O3")
@each(revoked)
def test_none_is_told_even_where_every_check_before_says_yes(
    app, desk_of, full, given, log, all_doors_open, claim
):
    desk = desk_of(OperatorRole.ADMIN)
    forge(desk, claim(full, given))
    assert walk(app, desk.client.get, full) == []
    assert_nothing_recorded(log)


@pytest.mark.attack("O3")
@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.parametrize("claim", CLAIMS)
def test_no_form_of_a_session_that_claims_a_grant_tells_or_changes_any(
    app, desk_of, full, given, tenant_db, claim
):
    desk = desk_of(OperatorRole.ADMIN)
    forge(desk, claim(full, given))
    stored = tenant_db[full.placement.collection]
    before, token = (
        list(stored.find()),
        desk.token("/organizations/new") if claim is none_at_all else "",
    )
    for method, path in every_change(app, full):
        answer = desk.client.open(path, method=method, data={"csrf_token": token})
        assert answer.status_code < 500, path
        assert CANARY.encode() not in answer.get_data(), path
    assert list(stored.find()) == before


@pytest.mark.attack("O3")
@pytest.mark.full
@pytest.mark.timeout(600)
def test_no_program_of_operators_is_told_any(app, program_of, full, given, log):
    given(full)
    program = program_of(OperatorRole.ADMIN)
    assert walk(app, program.get, full) == []
    for method, path in every_change(app, full):
        if not path.endswith(("/trash", "/purge")):
            answer = program.ask(method, path, {})
            assert answer.status_code < 500, (method, path)
            assert CANARY.encode() not in answer.get_data(), (method, path)
    assert_nothing_recorded(log)


@pytest.mark.attack("O3")
def test_the_walk_finds_documents_where_that_guard_is_broken(
    app, desk_of, full, given, all_doors_open, monkeypatch
):
    monkeypatch.setattr(storage, "acting_operator", lambda: None)
    desk = desk_of(OperatorRole.ADMIN)
    forge(desk, revoked(full, given))
    found = walk(app, desk.client.get, full, "/organizations/acme-corp/data")
    assert "/organizations/acme-corp/data?as=json" in found


@pytest.mark.attack("O3")
def test_a_user_is_gone_before_the_first_portal_answers(
    app, desk, visitor, full, looking, tenant_db, time_machine, monkeypatch
):
    looking(full, hours=1)
    assert users_in(tenant_db, PREFIX)
    time_machine.move_to(clock.now() + timedelta(hours=2))  # while no portal runs
    monkeypatch.setattr(connection._state, "prepared", False)
    assert visitor.get("/login").status == 200
    assert not users_in(tenant_db, PREFIX)


@pytest.mark.attack("O3")
@pytest.mark.full
@pytest.mark.processes
def test_a_user_is_gone_before_real_portals_answer_that_were_killed(
    app, desk, full, looking, tenant_db, server
):
    """They are killed, the grant expires, and another one starts."""
    with portal(server, "test") as running:
        grant = looking(full, hours=1)
        running.kill()
    assert users_in(tenant_db, PREFIX)
    SupportGrant.objects(id=grant.id).update(
        set__ends_at=clock.now() - timedelta(minutes=1), set__due_at=clock.now()
    )
    with portal(server, "test") as running:
        assert requests.get(f"{running.url}/login", timeout=30).status_code == 200
        assert not users_in(tenant_db, PREFIX)
