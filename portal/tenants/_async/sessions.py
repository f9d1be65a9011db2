"""Transactions whose end the server is told, whatever became of the caller and of its time."""

import logging
import time
from functools import partial
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import PyMongoError

from .. import limits
from ..runtime import AsyncWork, Result, async_in_any_case, keep_from_reuse

log = logging.getLogger(__name__)

_UNANSWERED = 0.9  # of the time to end in: the server is told a little less


async def transacted(
    session: AsyncClientSession, body: AsyncWork[Result], **options: Any
) -> Result:
    """The result of PyMongo's ``with_transaction``, which leaves none open.

    PyMongo aborts by what is left of the caller's time. Where that is over, nothing is sent: the
    transaction would keep its locks for a minute, for which renames and other writes would wait.
    """
    commits = False

    async def run(session: AsyncClientSession) -> Result:
        nonlocal commits
        commits = False
        try:
            result = await body(session)
        except BaseException:
            if session.in_transaction:
                await async_in_any_case(partial(_abort, session))
            raise
        commits = True
        return result

    try:
        result = await session.with_transaction(run, **options)
        commits = False
        return result
    finally:
        if commits:
            await async_in_any_case(partial(end_unknown, session))


async def _abort(session: AsyncClientSession) -> None:
    """Abort; PyMongo doesn't raise where that had no answer, but takes all of the time then."""
    begin = time.monotonic()
    await session.abort_transaction()
    if time.monotonic() - begin >= limits.ENDING_SECONDS * _UNANSWERED:
        log.warning("a transaction may be open until the server ends it: no answer in time")


async def end_unknown(session: AsyncClientSession) -> None:
    """Have the server end a transaction whose commit may never have arrived. The session isn't used
    again: a server that stands still may execute this later."""
    keep_from_reuse(session)
    try:
        await session.client.admin.command("killSessions", [session.session_id])
    except PyMongoError as error:
        log.warning("a transaction may be open until the server ends it: %s", error)
