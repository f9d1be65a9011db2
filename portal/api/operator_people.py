"""The people of the installation, for programs."""

from typing import Any

from portal.api.guard import ApiBlueprint
from portal.api.operator_people_schemas import (
    BlockBody,
    PeopleAnswer,
    PeopleQuery,
    PersonAnswer,
)
from portal.api.operators import (
    OF_OPERATOR_CHANGES,
    OF_OPERATORS,
    by_operator,
    install_replays,
    operator_by_request,
)
from portal.api.replay import Answer, takes_key
from portal.documents.idempotency import IdempotencyRecord
from portal.identity.accounts.errors import AccountNotBlocked, AlreadyBlocked
from portal.identity.second_factors.errors import NoReset, ResetAlreadyRequested
from portal.operators.access import Operator
from portal.operators.errors import LastOperatorAdmin
from portal.operators.people import changing
from portal.operators.people.errors import (
    OperatorsAccount,
    OwnAccount,
    PersonNotFound,
    PersonWithoutFactor,
    ReasonNeeded,
)
from portal.operators.people.finding import find_people
from portal.operators.people.reading import find_person, person_of

admin_people = ApiBlueprint("admin_people", __name__, url_prefix="/admin", description="People")

_OF_CHANGES = (*OF_OPERATOR_CHANGES, PersonNotFound, OwnAccount, OperatorsAccount)


@admin_people.get("/people", refusals=OF_OPERATORS)
@by_operator("console.view")
@admin_people.arguments(PeopleQuery, location="query")
@admin_people.response(200, PeopleAnswer)
def list_people(operator: Operator, query: dict[str, Any]) -> dict[str, Any]:
    """Find people

    Those whose address begins with `q`, the one with exactly this address first; those of a domain
    for `@acme.example`; the one with an id. Without `q` everybody, the newest first. 50 at a time:
    `after` of the answer is that of the next call, and null at the end.
    """
    found = find_people(query["q"], blocked=query["blocked"], after=query.get("after"))
    return {"people": found.page.rows, "way": found.way, "after": _text(found.page.after)}


@admin_people.get("/people/<person_id>", refusals=(*OF_OPERATORS, PersonNotFound))
@admin_people.response(200, PersonAnswer)
def get_person(person_id: str) -> dict[str, Any]:
    """See a person

    The account, its organizations, 100 of them at most, its sessions and second factors; no
    credential.
    """
    operator_by_request("console.view")
    return _shown(person_id)


@admin_people.post("/people/<person_id>/end-sessions", refusals=_OF_CHANGES)
@takes_key
@admin_people.response(200, PersonAnswer)
def end_sessions_of_person(person_id: str) -> dict[str, Any]:
    """End all sessions of a person

    And all tokens: they log in again, with the second factor.
    """
    operator = operator_by_request("console.act")
    account = changing.person_to_change(operator, person_id)
    changing.end_sessions(account.id, operator.context)
    return _shown(person_id)


@admin_people.post(
    "/people/<person_id>/reset-factors",
    refusals=(*_OF_CHANGES, PersonWithoutFactor, ResetAlreadyRequested),
)
@takes_key
@admin_people.response(200, PersonAnswer)
def reset_factors_of_person(person_id: str) -> dict[str, Any]:
    """Reset a person’s second factors, in 24 hours

    The person is told by mail and on every page, and can stop it until then.
    """
    operator = operator_by_request("console.act")
    account = changing.person_to_change(operator, person_id)
    changing.request_reset(account.id, operator.context)
    return _shown(person_id)


@admin_people.post("/people/<person_id>/keep-factors", refusals=(*_OF_CHANGES, NoReset))
@takes_key
@admin_people.response(200, PersonAnswer)
def keep_factors_of_person(person_id: str) -> dict[str, Any]:
    """Stop the reset of a person’s second factors

    They stay as they are.
    """
    operator = operator_by_request("console.act")
    account = changing.person_to_change(operator, person_id)
    changing.stop_reset(account.id, operator.context)
    return _shown(person_id)


@admin_people.post(
    "/people/<person_id>/block",
    refusals=(*_OF_CHANGES, ReasonNeeded, AlreadyBlocked, LastOperatorAdmin),
)
@by_operator("console.act")
@takes_key
@admin_people.arguments(BlockBody)
@admin_people.response(200, PersonAnswer)
def block_person(operator: Operator, body: dict[str, str], person_id: str) -> dict[str, Any]:
    """Block a person

    Their sessions and tokens end, and nobody logs in to the account; memberships stay, as do API
    keys, which are their organizations'. The `reason` is for operators, the person is told by mail.
    """
    account = changing.person_to_change(operator, person_id)
    changing.block(account.id, body["reason"], operator.context)
    return _shown(person_id)


@admin_people.post("/people/<person_id>/unblock", refusals=(*_OF_CHANGES, AccountNotBlocked))
@takes_key
@admin_people.response(200, PersonAnswer)
def unblock_person(person_id: str) -> dict[str, Any]:
    """Unblock a person

    They can log in again, and are told by mail.
    """
    operator = operator_by_request("console.act")
    account = changing.person_to_change(operator, person_id)
    changing.unblock(account.id, operator.context)
    return _shown(person_id)


def _text(key: object) -> str | None:
    return None if key is None else str(key)


def _shown(person_id: str) -> dict[str, Any]:
    return {"person": person_of(find_person(person_id))}


def _replay(record: IdempotencyRecord) -> Answer:
    return _shown(str(record.organization)), 200, {}


install_replays(
    admin_people,
    dict.fromkeys(
        (
            "end_sessions_of_person",
            "reset_factors_of_person",
            "keep_factors_of_person",
            "block_person",
            "unblock_person",
        ),
        (PersonAnswer, _replay),
    ),
)
