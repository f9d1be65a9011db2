"""Transactions whose end the server is told, whatever became of the caller and of its time."""

import logging
import time
from functools import partial
from typing import Any

from pymongo.errors import PyMongoError
from pymongo.synchronous.client_session import ClientSession

from .. import limits
from ..runtime import Result, Work, in_any_case, keep_from_reuse

log = logging.getLogger(__name__)

_UNANSWERED = 0.9  # of the time to end in: the server is told a little less


def transacted(session: ClientSession, body: Work[Result], **options: Any) -> Result:
    """The result of PyMongo's ``with_transaction``, which leaves none open.

    PyMongo aborts by what is left of the caller's time. Where that is over, nothing is sent: the
    transaction would keep its locks for a minute, for which renames and other writes would wait.
    """
    commits = False

    def run(session: ClientSession) -> Result:
        nonlocal commits
        commits = False
        try:
            result = body(session)
        except BaseException:
            if session.in_transaction:
                in_any_case(partial(_abort, session))
            raise
        commits = True
        return result

    try:
        result = session.with_transaction(run, **options)
        commits = False
        return result
    finally:
        if commits:
            in_any_case(partial(end_unknown, session))


def _abort(session: ClientSession) -> None:
    """Abort; PyMongo doesn't raise where that had no answer, but takes all of the time then."""
    begin = time.monotonic()
    session.abort_transaction()
    if time.monotonic() - begin >= limits.ENDING_SECONDS * _UNANSWERED:
        log.warning("a transaction may be open until the server ends it: no answer in time")


def end_unknown(session: ClientSession) -> None:
    """Have the server end a transaction whose commit may never have arrived. The session isn't used
    again: a server that stands still may execute this later."""
    keep_from_reuse(session)
    try:
        session.client.admin.command("killSessions", [session.session_id])
    except PyMongoError as error:
        log.warning("a transaction may be open until the server ends it: %s", error)
