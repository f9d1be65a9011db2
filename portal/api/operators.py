"""The console for programs: from a request to an operator, and calls that are repeated.

A part of the console's API is an ``ApiBlueprint`` with the prefix ``/admin`` in a module of its
own, which answers operators alone; each view begins with ``operator_by_request``, or is
``by_operator`` where it has a body or a query to parse, and names ``OF_OPERATORS`` among its
refusals, or ``OF_OPERATOR_CHANGES`` where it ``takes_key``.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import marshmallow as ma
from flask import Response, request

from portal.api.guard import ApiBlueprint, View, operator_by_request
from portal.api.refusals import Refusal
from portal.api.replay import REFUSALS, Answer, check_finished, install_by, kept_answer, replayed
from portal.documents.idempotency import IdempotencyRecord
from portal.errors import NotFound
from portal.operators.errors import OperatorForbidden, OperatorSecondFactorRequired

OF_OPERATORS: tuple[Refusal, ...] = (NotFound, OperatorForbidden, OperatorSecondFactorRequired)
"""The errors of ``operator_by_request``."""
OF_OPERATOR_CHANGES: tuple[Refusal, ...] = (*OF_OPERATORS, *REFUSALS)
"""The errors of calls that take an idempotency key."""

# By view, the schema and the answer from what is there now, where the first one was lost.
OperatorReplays = dict[str, tuple[type[ma.Schema], Callable[[IdempotencyRecord], Answer]]]


def by_operator(permission: str) -> Callable[[View], View]:
    """Pass the view the operator, before anything of the request is parsed: so everybody else is
    answered as if there were nothing."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(*arguments: Any, **ids: Any) -> Any:
            return view(operator_by_request(permission), *arguments, **ids)

        return guarded  # type: ignore[return-value]

    return decorate


def install_replays(blueprint: ApiBlueprint, replays: OperatorReplays) -> None:
    """Have the blueprint's calls take idempotency keys. ``replays`` answer calls whose first answer
    wasn't stored, since the process died before: by the name of the view, from the record of the
    first call, with what is there now."""

    def replay(record: IdempotencyRecord) -> Response:
        operator_by_request("console.view")
        if kept := kept_answer(record):
            return kept
        check_finished(record)
        schema, answer = replays[str(request.endpoint).rpartition(".")[2]]
        body, status, headers = answer(record)
        return replayed(schema().dump(body), status, headers)

    install_by(blueprint, replay)


def success(record: IdempotencyRecord) -> Answer:
    """The answer to a call that returns nothing."""
    return {}, 200, {}
