"""Transactions."""

import time
from collections.abc import Callable
from contextvars import Context, ContextVar
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar

import pymongo
import structlog
from mongoengine.errors import MongoEngineException
from pymongo import ReadPreference
from pymongo.client_session import ClientSession
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from portal.database.connection import client

log = structlog.get_logger()

TRANSACTION_SECONDS = 5
ENDING_SECONDS = 0.7
_UNANSWERED = 0.9  # of it: the server is told a little less
_in_transaction: ContextVar[bool] = ContextVar("in_transaction", default=False)

Result = TypeVar("Result")
Parameters = ParamSpec("Parameters")


class NotInTransaction(RuntimeError):
    """A function that needs the caller's transaction was called outside of one: a bug."""


def transaction(body: Callable[[], Result]) -> Result:
    """Run ``body`` in one transaction; every MongoEngine and PyMongo call in it joins.

    All of its writes are committed, acknowledged by a majority, or none. It may run several times,
    so it must do nothing but read and write documents. Takes at most TRANSACTION_SECONDS: a
    process that was killed in a transaction keeps its locks, and others that write the same
    documents would retry for minutes. Raises what ``body`` raises.
    """
    if _in_transaction.get():
        raise RuntimeError("Transactions don't nest: call the outer one's body directly.")

    def run_body(session: ClientSession) -> Result:
        token = _in_transaction.set(True)
        try:
            with session.bind(end_session=False):
                return body()
        except MongoEngineException as error:
            # MongoEngine wraps the driver's error; with_transaction needs to see its label.
            cause = error.__cause__ or error.__context__
            if isinstance(cause, PyMongoError) and cause.has_error_label(
                "TransientTransactionError"
            ):
                raise cause from error
            raise
        finally:
            _in_transaction.reset(token)

    with pymongo.timeout(TRANSACTION_SECONDS), client().start_session() as session:
        return run_in(
            session,
            run_body,
            read_concern=ReadConcern("local"),
            write_concern=WriteConcern("majority"),
            read_preference=ReadPreference.PRIMARY,
        )


def run_in(
    session: ClientSession, body: Callable[[ClientSession], Result], **options: Any
) -> Result:
    """Run ``body`` in a transaction of the session, as the driver does, and leave none open.

    The driver aborts by what is left of the caller's time. Where that is over, nothing is sent: the
    transaction would keep its locks for a minute, for which all others would wait that write there.
    """
    commits = False

    def run(session: ClientSession) -> Result:
        nonlocal commits
        commits = False
        try:
            result = body(session)
        except BaseException:
            if session.in_transaction:
                _in_any_case(partial(_abort, session))
            raise
        commits = True
        return result

    try:
        result = session.with_transaction(run, **options)
        commits = False
        return result
    finally:
        if commits:  # perhaps: it may not have arrived
            _in_any_case(partial(_end, session))


def _in_any_case(end: Callable[[], None]) -> None:
    """Run ``end`` within ENDING_SECONDS, whatever is left of the caller's time."""

    def bounded() -> None:
        with pymongo.timeout(ENDING_SECONDS):
            end()

    Context().run(bounded)


def _abort(session: ClientSession) -> None:
    """Abort; the driver doesn't raise where that had no answer, but takes all of the time then."""
    begin = time.monotonic()
    session.abort_transaction()
    if time.monotonic() - begin >= ENDING_SECONDS * _UNANSWERED:
        log.warning("transaction.left_open", error="aborting it had no answer in time")


def _end(session: ClientSession) -> None:
    # A server that stands still may execute this later: on whatever the session is used for then.
    if (pooled := session._server_session) is not None:
        pooled.mark_dirty()
    try:
        session.client.admin.command("killSessions", [session.session_id])
    except PyMongoError as error:
        log.warning("transaction.left_open", error=str(error))


def transactional(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Run each call of ``function`` in a ``transaction`` of its own."""

    @wraps(function)
    def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        return transaction(lambda: function(*args, **kwargs))

    return run


def within_transaction(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Allow calls of ``function`` only inside the caller's ``transaction``, which its reads and
    writes join. Elsewhere they raise NotInTransaction."""

    @wraps(function)
    def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        if not _in_transaction.get():
            raise NotInTransaction(function.__qualname__)
        return function(*args, **kwargs)

    return run


def forbid_in_transaction() -> None:
    """Raise RuntimeError inside a ``transaction``: the caller's work can't join one."""
    if _in_transaction.get():
        raise RuntimeError("This can't run inside a transaction.")
