"""The installation, for operators' programs: what needs somebody, what runs, what was done."""

from collections.abc import Callable
from typing import Any

from bson import ObjectId

from portal.api.guard import ApiBlueprint, operator_by_request
from portal.api.operator_overview_schemas import (
    ActsAnswer,
    ActsQuery,
    ExaminationAnswer,
    JobAnswer,
    OperationDoneAnswer,
    OperationsAnswer,
    OutboxAnswer,
    OverviewAnswer,
    PolicyAnswer,
    PolicyBody,
    ProposalsAnswer,
)
from portal.api.operators import (
    OF_OPERATOR_CHANGES,
    OF_OPERATORS,
    by_operator,
    install_replays,
    success,
)
from portal.api.refusals import Refusal
from portal.api.replay import Answer, takes_key
from portal.api.schemas import Success
from portal.database.clusters import known_clusters
from portal.documents.idempotency import IdempotencyRecord
from portal.documents.jobs import Job
from portal.documents.organizations import Organization
from portal.jobs import managing
from portal.jobs.errors import JobEnded, JobNotFound, JobNotPaused
from portal.operators.access import Operator
from portal.operators.overview import activity, figures, findings, runners, running, sources
from portal.operators.overview.activity import ActFilter
from portal.organizations.access.lookup import parse_object_id
from portal.organizations.lifecycle import retrying
from portal.organizations.lifecycle.errors import (
    CollectionNameConflict,
    CredentialsNotCarried,
    OperationOver,
    OperationStays,
    OperationUndone,
    SlugTaken,
    TenantCollectionMissing,
)
from portal.placement import policies, proposals
from portal.placement.errors import InvalidPolicy, PolicyChanged
from portal.web.bodies import JSON, AcceptedBody, takes_whole_body
from portal.web.errors import InvalidInput

admin_overview = ApiBlueprint(
    "admin_overview", __name__, url_prefix="/admin", description="The installation, for operators"
)

_OPERATION = "/operations/<organization_id>/<operation_id>"
_OF_JOBS: tuple[Refusal, ...] = (*OF_OPERATOR_CHANGES, JobNotFound, JobEnded, JobNotPaused)
_NO_FILTER = "There is nothing like it: see what the acts themselves have."


@admin_overview.get("/overview", refusals=OF_OPERATORS)
@admin_overview.response(200, OverviewAnswer)
def get_overview() -> dict[str, Any]:
    """See what needs somebody, and how the installation is

    A source that was not looked at in time says so: that is never the same as nothing found.
    """
    operator_by_request("console.view")
    looked = sources.look()
    return {
        "needs": looked.needs,
        "figures": figures.look(looked.needs.at),
        "clusters": looked.clusters,
        "processes": looked.runners.all,
    }


@admin_overview.get("/operations", refusals=OF_OPERATORS)
@admin_overview.response(200, OperationsAnswer)
def list_operations() -> dict[str, Any]:
    """List what runs

    Lifecycle operations, moves and ways back, jobs, and the portal's processes; 100 of each.
    """
    operator_by_request("console.view")
    return {
        "operations": running.operations(),
        "moves": running.moves(),
        "jobs": running.jobs(),
        "runners": runners.look(),
    }


@admin_overview.post(
    f"{_OPERATION}/retry",
    refusals=(
        *OF_OPERATOR_CHANGES,
        OperationOver,
        OperationUndone,
        SlugTaken,
        TenantCollectionMissing,
        CollectionNameConflict,
        CredentialsNotCarried,
    ),
)
@takes_key
@admin_overview.response(200, OperationDoneAnswer)
@admin_overview.alt_response(202, schema=OperationDoneAnswer, description="It failed again")
def retry_operation(organization_id: str, operation_id: str) -> Answer:
    """Try an operation again at once

    Whatever it waits for. Where it fails again, the portal goes on trying.
    """
    operator = operator_by_request("console.act")
    ids = parse_object_id(organization_id), parse_object_id(operation_id)
    return _done(retrying.retry_operation(*ids, operator.context))


@admin_overview.post(
    f"{_OPERATION}/undo", refusals=(*OF_OPERATOR_CHANGES, OperationOver, OperationStays)
)
@takes_key
@admin_overview.response(200, OperationDoneAnswer)
@admin_overview.alt_response(202, schema=OperationDoneAnswer, description="It is tried again")
def undo_operation(organization_id: str, operation_id: str) -> Answer:
    """Undo an operation that runs

    A rename, a deletion or a restore: the organization is as before.
    """
    operator = operator_by_request("console.act")
    ids = parse_object_id(organization_id), parse_object_id(operation_id)
    return _done(retrying.undo_operation(*ids, operator.context))


@admin_overview.post("/jobs/<job_id>/pause", refusals=_OF_JOBS)
@takes_key
@admin_overview.response(200, JobAnswer)
def pause_job(job_id: str) -> dict[str, Any]:
    """Pause a job

    Behind what is in hand. Paused, it stays as it is until it is resumed.
    """
    return _change_job(managing.pause_job, job_id)


@admin_overview.post("/jobs/<job_id>/resume", refusals=_OF_JOBS)
@takes_key
@admin_overview.response(200, JobAnswer)
def resume_job(job_id: str) -> dict[str, Any]:
    """Have a paused job go on

    From where it was paused, whatever it failed of before.
    """
    return _change_job(managing.resume_job, job_id)


@admin_overview.post("/jobs/<job_id>/cancel", refusals=_OF_JOBS)
@takes_key
@admin_overview.response(200, JobAnswer)
def cancel_job(job_id: str) -> dict[str, Any]:
    """End a job for good

    What it did stays done.
    """
    return _change_job(managing.cancel_job, job_id)


@admin_overview.get("/outbox", refusals=OF_OPERATORS)
@admin_overview.response(200, OutboxAnswer)
def list_outbox() -> running.Some:
    """List the mails that wait to leave

    The first 100.
    """
    operator_by_request("console.view")
    return running.mails()


@admin_overview.post("/outbox/retry", refusals=OF_OPERATOR_CHANGES)
@takes_key
@admin_overview.response(200, Success)
def retry_mails() -> dict[str, Any]:
    """Try all mails at once that could not leave

    10,000 at most in one go, whatever they wait for.
    """
    operator = operator_by_request("console.act")
    running.have_mails_tried(operator.context)
    return {}


@admin_overview.get("/doctor", refusals=OF_OPERATORS)
@admin_overview.response(200, ExaminationAnswer)
def get_examination() -> dict[str, Any]:
    """See what the doctor found in its last examination

    It compares master data with the databases, every hour.
    """
    operator_by_request("console.view")
    last = findings.last_examination()
    found = [finding for kind in last.kinds for finding in kind.found]
    return {"since": last.since, "checks": last.checks, "findings": found, "broken": last.broken}


@admin_overview.post("/doctor/examine", refusals=OF_OPERATOR_CHANGES)
@takes_key
@admin_overview.response(200, Success)
def examine_installation() -> dict[str, Any]:
    """Have the doctor examine all

    A portal begins within a minute.
    """
    operator = operator_by_request("console.act")
    findings.examine_now(operator.context)
    return {}


@admin_overview.post("/processes/<process_id>/forget", refusals=OF_OPERATOR_CHANGES)
@takes_key
@admin_overview.response(200, Success)
def forget_process(process_id: str) -> dict[str, Any]:
    """Have a process told of no more that was killed

    One that lives is told of again within seconds.
    """
    operator = operator_by_request("console.act")
    runners.forget(parse_object_id(process_id), operator.context)
    return {}


@admin_overview.get("/activity", refusals=OF_OPERATORS)
@by_operator("console.view")
@admin_overview.arguments(ActsQuery, location="query")
@admin_overview.response(200, ActsAnswer)
def list_acts(operator: Operator, query: dict[str, str]) -> dict[str, Any]:
    """List what operators did

    On pages, by keys and by commands; 50 at a time, newest first. Each act stands in the trail of
    the organization or account that it concerns.
    """
    after = query.pop("after", None)
    wanted = ActFilter.read(query)
    if unknown := query.keys() - wanted.query.keys():
        raise InvalidInput(dict.fromkeys(unknown, _NO_FILTER))
    if after is not None and not ObjectId.is_valid(after):
        raise InvalidInput({"after": _NO_FILTER})
    page = activity.list_acts(wanted, after=ObjectId(after) if after else None)
    return {"acts": page.rows, "after": page.after}


@admin_overview.get("/placement/policy", refusals=OF_OPERATORS)
@admin_overview.response(200, PolicyAnswer)
def get_placement_policy() -> dict[str, Any]:
    """Get the placement policy in force

    With its version, which a change names.
    """
    operator_by_request("console.view")
    version, text = policies.current_text()
    return {"version": version, "text": text}


@admin_overview.put(
    "/placement/policy", refusals=(*OF_OPERATOR_CHANGES, InvalidPolicy, PolicyChanged)
)
@by_operator("console.act")
@takes_whole_body(AcceptedBody((JSON,), policies.MOST_BYTES))
@takes_key
@admin_overview.arguments(PolicyBody)
@admin_overview.response(200, PolicyAnswer)
def set_placement_policy(operator: Operator, body: dict[str, Any]) -> dict[str, Any]:
    """Put a placement policy into force

    In place of the version that it was made from. Organizations stay where they are.
    """
    known = {cluster.name for cluster in known_clusters()}
    policy = policies.set_policy(body["text"], body["version"], known, operator.context)
    return {"version": policy.version, "text": body["text"]}


@admin_overview.get("/placement/proposals", refusals=OF_OPERATORS)
@admin_overview.response(200, ProposalsAnswer)
def list_proposals() -> dict[str, Any]:
    """List the organizations that should move by the policy

    Nothing moves by itself.
    """
    operator_by_request("console.view")
    return {"proposals": proposals.propose_moves(policies.current_policy())}


def _done(organization: Organization) -> Answer:
    over = organization.operation is None
    return {"done": over}, 200 if over else 202, {}


def _change_job(change: Callable[..., Job], job_id: str) -> dict[str, Any]:
    operator = operator_by_request("console.act")
    return {"job": running.listed(change(job_id, operator.context, claims=True))}


def _job_again(record: IdempotencyRecord) -> Answer:
    return {"job": running.listed(managing.find_job(record.operation))}, 200, {}


def _operation_again(record: IdempotencyRecord) -> Answer:
    return {"done": True}, 200, {}


def _policy_again(record: IdempotencyRecord) -> Answer:
    version, text = policies.current_text()
    return {"version": version, "text": text}, 200, {}


install_replays(
    admin_overview,
    {
        "retry_operation": (OperationDoneAnswer, _operation_again),
        "undo_operation": (OperationDoneAnswer, _operation_again),
        "pause_job": (JobAnswer, _job_again),
        "resume_job": (JobAnswer, _job_again),
        "cancel_job": (JobAnswer, _job_again),
        "retry_mails": (Success, success),
        "examine_installation": (Success, success),
        "forget_process": (Success, success),
        "set_placement_policy": (PolicyAnswer, _policy_again),
    },
)
