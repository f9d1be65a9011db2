"""A call of an operator with an Idempotency-Key that is sent twice is done once, and answered as it
was, also where the first answer was lost."""

import pytest

from portal import clock
from portal.api import replay
from portal.documents.accounts import OperatorRole
from portal.documents.jobs import Job
from portal.documents.moves import MoveState
from portal.documents.organizations import Organization, Placement
from portal.documents.processes import Process
from portal.operators.bulk import managing as bulk
from portal.operators.keys import create_key
from portal.operators.organizations.notes import add_note
from portal.operators.people.changing import block, request_reset
from portal.organizations.lifecycle.trashing import trash_organization
from portal.organizations.support import grants
from portal.placement import policies
from portal.web.context import OPERATOR, RequestContext
from tests.factories import (
    a_context,
    a_hold,
    a_suspension,
    an_account,
    an_app,
    an_operator,
    an_organization,
)
from tests.moving.records import a_move, a_way_back
from tests.program import Program

KEYED = {"headers": {"Idempotency-Key": "5f1c2f54-0b0e-4f0b-a5b3-7f2a4bdb1a11"}}
AGAIN = "Idempotency-Replayed"


def nothing():
    return {}


def verified():
    an_account("teo@acme.example")
    return {}


def appointed():
    return {"account_id": an_operator(OperatorRole.SUPPORT).id}


def given_key():
    return {"key_id": create_key("Billing", "support", clock.now().date(), a_context()).id}


def last_day():
    return str(clock.now().date())


def an_organization_to_see():
    return {"organization_id": an_organization().id}


def asked_to_see():
    there, context = an_organization(), RequestContext(OPERATOR)
    asked = grants.ask(there.id, "Help", 4, context, with_documents=False)
    return {"organization_id": there.id, "grant_id": asked.id}


def somebody():
    account = an_account("teo@acme.example")
    an_app(account)
    return {"person_id": account.id}


def to_be_reset():
    person = somebody()
    request_reset(person["person_id"], a_context())
    return person


def blocked():
    person = somebody()
    block(person["person_id"], "Phishing", a_context())
    return person


def in_the_trash():
    return {"organization_id": trash_organization(an_organization(), None, a_context()).id}


def to_be_owned():
    return an_organization_to_see() | verified()


def noted():
    there = an_organization().id
    return {"organization_id": there, "note_id": add_note(there, "Called.", a_context()).id}


def failing():
    """An operation that waits for its next try."""
    there = an_organization("Acme Corp")
    operation = {"id": there.id, "kind": "rename", "attempt": 3, "name": "Other", "slug": "other"}
    operation |= {"started_at": clock.now(), "lease_until": clock.now(), "origin": {}}
    operation |= {"collection": "org_other", "last_error": "a disk is full"}
    Organization.objects(id=there.id).update_one(__raw__={"$set": {"operation": operation}})
    return {"organization_id": there.id, "operation_id": there.id}


def of_job(state):
    def make_ready():
        begun = {"created_at": clock.now(), "origin": {}, "open": True}
        job = Job(kind="moves", subject="fra-2", title="Moves", state=state, **begun)
        return {"job_id": job.save().id}

    return make_ready


def killed():
    born = {"started_at": clock.now(), "beat_at": clock.now()}
    return {"process_id": Process(host="web-1", pid=1, version="1.0", **born).save().id}


def suspended():
    there = an_organization()
    return {"organization_id": there.id, "suspension_id": a_suspension(there).id}


def held():
    there = an_organization()
    return {"organization_id": there.id, "hold_id": a_hold(there).id}


def planned():
    there, context = [str(an_organization().id)], RequestContext(OPERATOR)
    return {"bulk_id": bulk.plan_these("note", {"text": "Called."}, there, context).id}


def started():
    there = planned()
    bulk.start_bulk(there["bulk_id"], 1, RequestContext(OPERATOR))
    return there


def paused():
    there = started()
    bulk.pause_bulk(str(there["bulk_id"]), RequestContext(OPERATOR))
    return there


def cancelled():
    there = started()
    bulk.cancel_bulk(str(there["bulk_id"]), RequestContext(OPERATOR))
    return there


# A stream that was read, of which it would be told how long ago.
_UNREAD = {"unset__progress__last_event_at": True}


def moving():
    there = an_organization()
    a_move(there).update(**_UNREAD)
    return {"organization_id": there.id}


def asked_to_move():
    target = Placement(strategy="database", cluster="main")
    asked = a_move(an_organization(), MoveState.REQUESTED, target, due_at=None)
    return {"organization_id": asked.organization}


def open_to_go_back():
    there = an_organization()
    a_way_back(there).update(**_UNREAD)
    return {"organization_id": there.id}


# A call of each that takes a key: what makes ready for it and gives the ids in its path, its body.
CALLS = {
    "POST /admin/operators": (verified, {"email": "teo@acme.example", "role": "support"}),
    "PUT /admin/operators/{account_id}": (appointed, {"role": "operator"}),
    "DELETE /admin/operators/{account_id}": (appointed, None),
    "POST /admin/keys": (nothing, {"name": "Billing", "role": "support", "expires_on": last_day}),
    "DELETE /admin/keys/{key_id}": (given_key, None),
    "PATCH /admin/organizations/{organization_id}/limits": (
        an_organization_to_see,
        {"documents": 5},
    ),
    "PATCH /admin/plans/{plan}/limits": (lambda: {"plan": "team"}, {"documents": 5}),
    "POST /admin/organizations/{organization_id}/support": (
        an_organization_to_see,
        {"reason": "Help", "hours": 4, "with_documents": False},
    ),
    "DELETE /admin/organizations/{organization_id}/support/{grant_id}": (asked_to_see, None),
    "POST /admin/people/{person_id}/end-sessions": (somebody, None),
    "POST /admin/people/{person_id}/reset-factors": (somebody, None),
    "POST /admin/people/{person_id}/keep-factors": (to_be_reset, None),
    "POST /admin/people/{person_id}/block": (somebody, {"reason": "Phishing"}),
    "POST /admin/people/{person_id}/unblock": (blocked, None),
    "POST /admin/bulk": (nothing, {"action": "note", "filter": {}, "arguments": {"text": "x"}}),
    "POST /admin/organizations/{organization_id}/move": (
        an_organization_to_see,
        {"strategy": "database", "cluster": "main"},
    ),
    "POST /admin/organizations/{organization_id}/move/approve": (asked_to_move, {}),
    "POST /admin/organizations/{organization_id}/move/decline": (asked_to_move, {"reason": "No"}),
    "POST /admin/organizations/{organization_id}/move/pause": (moving, None),
    "POST /admin/organizations/{organization_id}/move/resume": (moving, None),
    "POST /admin/organizations/{organization_id}/move/throttle": (
        moving,
        {"documents_per_second": 500},
    ),
    "POST /admin/organizations/{organization_id}/move/extend": (open_to_go_back, {"days": 9}),
    "POST /admin/organizations/{organization_id}/move/switch": (moving, None),
    "POST /admin/organizations/{organization_id}/move/abort": (moving, None),
    "POST /admin/organizations/{organization_id}/move/back": (open_to_go_back, None),
    "POST /admin/organizations/{organization_id}/move/end": (open_to_go_back, None),
    "POST /admin/bulk/{bulk_id}/start": (planned, {"count": 1}),
    "POST /admin/bulk/{bulk_id}/pause": (started, None),
    "POST /admin/bulk/{bulk_id}/resume": (paused, None),
    "POST /admin/bulk/{bulk_id}/cancel": (started, None),
    "POST /admin/bulk/{bulk_id}/retry": (cancelled, None),
    "PUT /admin/organizations/{organization_id}/name": (
        an_organization_to_see,
        {"organization_name": "Kestrel Freight"},
    ),
    "POST /admin/organizations/{organization_id}/trash": (an_organization_to_see, None),
    "POST /admin/organizations/{organization_id}/restore": (in_the_trash, None),
    "POST /admin/organizations/{organization_id}/purge": (in_the_trash, None),
    "PATCH /admin/organizations/{organization_id}/plan": (
        an_organization_to_see,
        {"plan": "large"},
    ),
    "PATCH /admin/organizations/{organization_id}/external": (
        an_organization_to_see,
        {"external_id": "cus_1", "metadata": {"crm": "A"}},
    ),
    "POST /admin/organizations/{organization_id}/owners": (
        to_be_owned,
        {"email": "teo@acme.example"},
    ),
    "POST /admin/organizations/{organization_id}/notes": (
        an_organization_to_see,
        {"text": "Called."},
    ),
    "DELETE /admin/organizations/{organization_id}/notes/{note_id}": (noted, None),
    "POST /admin/operations/{organization_id}/{operation_id}/retry": (failing, None),
    "POST /admin/operations/{organization_id}/{operation_id}/undo": (failing, None),
    "POST /admin/jobs/{job_id}/pause": (of_job("running"), None),
    "POST /admin/jobs/{job_id}/resume": (of_job("paused"), None),
    "POST /admin/jobs/{job_id}/cancel": (of_job("running"), None),
    "POST /admin/outbox/retry": (nothing, None),
    "POST /admin/doctor/examine": (nothing, None),
    "POST /admin/processes/{process_id}/forget": (killed, None),
    "PUT /admin/placement/policy": (nothing, {"version": 0, "text": policies.DEFAULT}),
    "POST /admin/organizations/{organization_id}/restrictions": (
        an_organization_to_see,
        {"kind": "locked", "cause": "abuse", "contact": "abuse@portal.example"},
    ),
    "DELETE /admin/organizations/{organization_id}/restrictions/{suspension_id}": (suspended, None),
    "POST /admin/organizations/{organization_id}/hold": (
        an_organization_to_see,
        {"reason": "Case 4711"},
    ),
    "DELETE /admin/organizations/{organization_id}/hold/{hold_id}": (held, None),
}


def test_every_call_that_takes_a_key_is_tried_here(app):
    paths = Program(app).get("/docs/openapi.json").json["paths"]
    there = {
        f"{method.upper()} {path}"
        for path, methods in paths.items()
        for method, described in methods.items()
        if path.startswith("/admin/") and replay.PARAMETER in str(described)
    }
    assert there == set(CALLS)


@pytest.mark.parametrize("call", CALLS)
def test_every_call_is_done_once_and_answered_again(program_of, master_db, call):
    program = program_of(OperatorRole.ADMIN)
    make_ready, body = CALLS[call]
    method, path = call.split()
    path = path.format(**make_ready())
    body = {name: value() if callable(value) else value for name, value in (body or {}).items()}
    first = program.ask(method, path, body, **KEYED)
    assert first.status_code in (200, 201), first.json
    kept = program.ask(method, path, body, **KEYED)
    master_db.request_keys.update_many({}, {"$unset": {"answer": 1}})
    lost = program.ask(method, path, body, **KEYED)
    for again in (kept, lost):
        assert (again.status_code, again.headers.get(AGAIN)) == (first.status_code, "true")
        assert again.json == replay.without_secrets(first.json)
