"""Transactions whose end the server is told, whatever became of the caller and of its time."""

import logging
from functools import partial
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import PyMongoError

from ..runtime import AsyncWork, Result, async_in_any_case

log = logging.getLogger(__name__)


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
                await async_in_any_case(session.abort_transaction)
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


async def end_unknown(session: AsyncClientSession) -> None:
    """Have the server end a transaction whose commit may never have arrived."""
    try:
        await session.client.admin.command("killSessions", [session.session_id])
    except PyMongoError as error:
        log.warning("a transaction may be open until the server ends it: %s", error)
