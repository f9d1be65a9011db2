"""Transactions."""

from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import ParamSpec, TypeVar

import pymongo
from mongoengine.errors import MongoEngineException
from pymongo import ReadPreference
from pymongo.client_session import ClientSession
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from portal.database.connection import client
from portal.tenants._sync.sessions import transacted

TRANSACTION_SECONDS = 5
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
        return transacted(
            session,
            run_body,
            read_concern=ReadConcern("local"),
            write_concern=WriteConcern("majority"),
            read_preference=ReadPreference.PRIMARY,
        )


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
