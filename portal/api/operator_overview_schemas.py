"""The JSON about the whole installation that operators' programs send and get."""

from datetime import UTC
from typing import Any

from marshmallow import fields, validate

from portal.api.schemas import Body, Choice, Response, Success
from portal.placement.policies import LONGEST_TEXT

_ID = {"example": "692588d0a7c4f2b91e03d65a"}
_NAME = {"example": "Acme Corp"}
_SLUG = {"example": "acme-corp"}
_CLUSTER = {"example": "fra-1"}
_BY = {"description": "in words", "example": "mara@acme.example"}
_COUNT = {"description": "1,001 stands for more", "example": 3}
_HOST = {"example": "web-1"}
_POLICY = '[[place]]\nstrategy = "collection"\n'


def _time(description: str = "", **options: Any) -> fields.AwareDateTime:
    told = {"description": description} if description else {}
    metadata = {**told, "example": "2026-11-25T09:30:00+00:00"}
    options = {"required": True, **options}
    return fields.AwareDateTime(format="iso", default_timezone=UTC, metadata=metadata, **options)


def _number(description: str, example: float, **options: Any) -> fields.Float:
    metadata = {"description": description, "example": example}
    return fields.Float(required=True, metadata=metadata, **options)


def _whole(description: str, example: int, **options: Any) -> fields.Integer:
    metadata = {"description": description, "example": example}
    return fields.Integer(required=True, metadata=metadata, **options)


def _is(description: str, **options: Any) -> fields.Boolean:
    metadata = {"description": description, "example": False}
    return fields.Boolean(required=True, metadata=metadata, **options)


def _words(example: str, description: str = "", **options: Any) -> fields.String:
    told = {"description": description} if description else {}
    return fields.String(required=True, metadata={**told, "example": example}, **options)


class NeedInfo(Response):
    """Something that needs an operator."""

    title = _words("Rename of Verda Foods failed 5 times")
    words = _words("org_verda_fresh exists with another UUID. Next try in 8 minutes.")
    failed = _is("or else it only will")


class SourceInfo(Response):
    """A source of needs. Nothing found is ``number`` 0 with ``trouble`` null: a source that was not
    looked at in time has a trouble, or was never looked at."""

    name = _words("mails")
    title = _words("Mail")
    number = _whole("of needs", 1)
    looked_at = _time(allow_none=True)
    trouble = _words("No portal did", "why it was not looked at since", allow_none=True)


class NeedsInfo(Response):
    """All that needs an operator; of each source five at most are told."""

    at = _time()
    number = _whole("of all sources", 3)
    told = fields.List(fields.Nested(NeedInfo), required=True)
    sources = fields.List(fields.Nested(SourceInfo), required=True)


class SignUpsInfo(Response):
    """The sign-ups of a day in UTC; null where nobody counted them."""

    day = fields.Date(required=True, metadata={"example": "2026-11-25"})
    number = _whole("of sign-ups", 141, allow_none=True)


class FiguresInfo(Response):
    """Figures of the installation; null is not counted yet."""

    organizations = _whole("estimated, purged ones included", 1_004_000)
    running = _whole("lifecycle operations; 1,001 stands for more", 4)
    failed = _whole("of those, failed at least once", 1)
    counted_at = _time("of what follows", allow_none=True)
    used = _whole("organizations that changed within 24 hours", 212_480, allow_none=True)
    measured = _whole("organizations", 1_000_000, allow_none=True)
    bytes = _whole("of all documents", 3_800_000_000_000, allow_none=True)
    sign_ups = fields.List(fields.Nested(SignUpsInfo), required=True)


class GaugeInfo(Response):
    """One kind of thing that a cluster holds, up to a limit."""

    what = _words("collections and indexes")
    held = _whole("now", 17_142)
    limit = _whole("at most", 22_400)
    wall = _words("by its memory", "what limits it")


class ClusterInfo(Response):
    """A cluster, as of its last reading: null where there is none."""

    name = fields.String(required=True, attribute="cluster.name", metadata=_CLUSTER)
    region = _words("eu-central", attribute="cluster.region", allow_none=True)
    read_at = _time("of the last reading", allow_none=True)
    silent = _words("it does not answer", "why it can’t be read now", allow_none=True)
    lost_at = _time(attribute="cluster.lost_at", allow_none=True)
    gauges = fields.List(fields.Nested(GaugeInfo), required=True)
    organizations_a_day = _number("growth", 45, attribute="rate", allow_none=True)
    full_at = _time("at that rate", allow_none=True)


class ProcessInfo(Response):
    """A process of the portal."""

    id = fields.String(required=True, metadata=_ID)
    host = fields.String(required=True, metadata=_HOST)
    pid = _whole("on its host", 12)
    version = _words("1.4.0")
    started_at = _time()
    beat_at = _time("when it last told of itself")
    silent = _is("it was killed, or hangs", attribute="is_silent")
    requests_a_second = _number("in the last seconds", 12.4)


class OverviewAnswer(Success):
    needs = fields.Nested(NeedsInfo, required=True)
    figures = fields.Nested(FiguresInfo, required=True)
    clusters = fields.List(fields.Nested(ClusterInfo), required=True)
    processes = fields.List(fields.Nested(ProcessInfo), required=True)


class RunningOperationInfo(Response):
    """A lifecycle operation of an organization."""

    id = fields.String(required=True, metadata=_ID)
    organization = fields.String(required=True, metadata=_ID)
    name = fields.String(required=True, metadata=_NAME)
    kind = _words("rename")
    attempt = _whole("of it", 5)
    started_at = _time()
    due_at = _time("its next try, or the end of the lease of the process that runs it")
    last_error = _words("org_verda_fresh exists with another UUID", allow_none=True)
    undone = _is("it is on its way back")
    may_undo = _is("it has a way back")
    by = fields.String(required=True, metadata=_BY)


class OpenMoveInfo(Response):
    """A move or a way back that isn't over."""

    id = fields.String(required=True, metadata=_ID)
    organization = fields.String(required=True, metadata=_ID)
    slug = fields.String(required=True, metadata=_SLUG)
    way_back = _is("or else a move")
    state = Choice("MoveState", required=True)
    paused = _is("by a person, or since it stopped")
    source = _words("a shared collection on main")
    target = _words("a collection of its own on fra-2")
    waits_for = _words("another try", allow_none=True)
    until = _time("of a way back", allow_none=True)
    created_at = _time()


class JobInfo(Response):
    """A job: of operators, or of the members of an organization."""

    id = fields.String(required=True, metadata=_ID)
    kind = _words("moves")
    title = _words("Moves of 40 organizations")
    organization = fields.String(required=True, allow_none=True, metadata=_ID)
    state = _words("running")
    done = _whole("of the total", 12)
    total = _whole("0 where it isn’t known", 40)
    reason = _words("no room", "why it failed, or is tried again", allow_none=True)
    created_at = _time()
    ended_at = _time(allow_none=True)
    by = fields.String(required=True, metadata=_BY)


class OperationsAnswer(Success):
    operations = fields.List(
        fields.Nested(RunningOperationInfo), required=True, attribute="operations.rows"
    )
    operations_number = fields.Integer(
        required=True, attribute="operations.number", metadata=_COUNT
    )
    moves = fields.List(fields.Nested(OpenMoveInfo), required=True, attribute="moves.rows")
    moves_number = fields.Integer(required=True, attribute="moves.number", metadata=_COUNT)
    jobs = fields.List(fields.Nested(JobInfo), required=True, attribute="jobs.rows")
    jobs_number = fields.Integer(required=True, attribute="jobs.number", metadata=_COUNT)
    processes = fields.List(fields.Nested(ProcessInfo), required=True, attribute="runners.all")


class OperationDoneAnswer(Success):
    done = _is("or else the portal goes on trying")


class JobAnswer(Success):
    job = fields.Nested(JobInfo, required=True)


class WaitingMailInfo(Response):
    """A mail that waits to leave."""

    id = fields.String(required=True, metadata=_ID)
    kind = _words("purge_near")
    to = _words("mara@acme.example")
    created_at = _time()
    due_at = _time("its next try")
    attempt = _whole("tries so far", 4)
    last_error = _words("451 try later", allow_none=True)


class OutboxAnswer(Success):
    mails = fields.List(fields.Nested(WaitingMailInfo), required=True, attribute="rows")
    number = fields.Integer(required=True, metadata=_COUNT)


class FindingInfo(Response):
    """A finding of the doctor."""

    kind = _words("stray_database")
    title = _words("Databases that look like organizations' own and belong to none")
    advice = _words("Look into them, then drop them by hand when nobody misses them.")
    subject = _words("t_692588d0a7c4f2b91e03d65a")
    words = _words("cluster fra-1: portal_tenant_documents")
    organization = fields.String(required=True, allow_none=True, metadata=_ID)


class BrokenCheckInfo(Response):
    """A check that was broken off; what it found at ``examined_at`` is kept."""

    name = _words("placements.find_strays")
    examined_at = _time(allow_none=True)
    error = _words("AutoReconnect: connection closed")


class ExaminationAnswer(Success):
    since = _time("when the check that was done longest ago came to its end", allow_none=True)
    checks = _whole("that were ever done", 24)
    findings = fields.List(fields.Nested(FindingInfo), required=True)
    broken = fields.List(fields.Nested(BrokenCheckInfo), required=True)


class ActsQuery(Body):
    operator = fields.String(
        metadata={"description": "the id of an account or a key, or “command”", **_ID}
    )
    action = fields.String(metadata={"example": "organization.renamed"})
    subject = fields.String(
        metadata={"description": "the id of an organization or an account", **_ID}
    )
    after = fields.String(
        metadata={"description": "the id of the last one of the page before", **_ID}
    )


class ActInfo(Response):
    """An act of an operator, as the trail of its subject tells it."""

    id = fields.String(required=True, metadata=_ID)
    at = _time(attribute="event.at")
    action = _words("organization.renamed", attribute="event.action")
    words = _words("Renamed from Acme to Acme Corp", attribute="event.words")
    by = _words("ops.venn@portal.example")
    operator = _words("692588d0a7c4f2b91e03d65a", "“command” for one on the machine")
    organization = fields.String(required=True, allow_none=True, metadata=_ID)
    subject = fields.String(required=True, metadata=_ID)
    about = _words("Acme Corp")
    address = _words("192.0.2.7", attribute="event.address", allow_none=True)


class ActsAnswer(Success):
    acts = fields.List(fields.Nested(ActInfo), required=True)
    after = fields.String(required=True, allow_none=True, metadata=_ID)


class PolicyBody(Body):
    version = fields.Integer(
        required=True,
        validate=validate.Range(min=0),
        metadata={"description": "that it replaces", "example": 4},
    )
    text = fields.String(required=True, metadata={"maxLength": LONGEST_TEXT, "example": _POLICY})


class PolicyAnswer(Success):
    version = _whole("0 for the default", 5)
    text = _words(_POLICY, "TOML")


class ProposalInfo(Response):
    """A move that should be made by the policy."""

    organization = fields.String(required=True, metadata=_ID)
    slug = fields.String(required=True, metadata=_SLUG)
    reason = _words("it is over the thresholds of promote")
    strategy = Choice("Strategy", required=True)
    to = Choice("Strategy", required=True)
    since = _time(allow_none=True)


class ProposalsAnswer(Success):
    proposals = fields.List(fields.Nested(ProposalInfo), required=True)
