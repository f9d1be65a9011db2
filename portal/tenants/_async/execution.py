"""Execution of fenced commands: each is tried where the collection is, until it succeeds or the
caller's time ends."""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

import pymongo
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.raw_bson import RawBSONDocument
from pymongo import ReadPreference
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from .. import limits
from ..arguments import received
from ..bulk import Sending
from ..directory import Located
from ..errors import NotOffered, PartialWrite, StateError
from ..fence import (
    UNAUTHORIZED,
    Moved,
    check_write,
    is_refused,
    is_transient,
    may_have_run,
    pauses,
)
from ..runtime import (
    AsyncAttempt,
    AsyncBody,
    Result,
    async_in_any_case,
    async_sleep,
    async_to_the_end,
    commit_attempts,
)
from ..usage import statements_of
from .channels import AsyncChannel, AsyncOpened
from .connections import AsyncConnection, next_number
from .directory import AsyncPlace
from .sessions import transacted

ANY: Mapping[str, Any] = {
    "filter": {}, "projection": {"_id": 1}, "limit": 1, "singleBatch": True
}  # fmt: skip
"""A command that only looks whether the collection is there."""

TRANSACTION: dict[str, Any] = {
    "read_concern": ReadConcern("local"),
    "write_concern": WriteConcern("majority"),
    "read_preference": ReadPreference.PRIMARY,
}
_MAJORITY = {"w": "majority"}


class AsyncExecution(Protocol):
    """The ways in which a tenant's commands are executed. ``fields`` are the command's without its
    collection."""

    in_transaction: bool
    """True where all is in one transaction of the caller."""

    @property
    def codec_options(self) -> CodecOptions:
        """The options of documents."""

    def channel(self, located: Located, session: AsyncClientSession | None = None) -> AsyncChannel:
        """The way to the collection."""

    async def read(self, verb: str, **fields: Any) -> dict[str, Any]:
        """The reply to a command that reads, with documents as they come by ``received``."""

    async def read_between(self, verb: str, **fields: Any) -> dict[str, Any]:
        """The reply to a command that takes no fence."""

    async def open(self, verb: str, **fields: Any) -> AsyncOpened:
        """The server's cursor for a command that reads, likewise."""

    async def write(self, verb: str, *, single: bool = True, **fields: Any) -> Mapping[str, Any]:
        """The reply to a command that writes single documents, executed once. Unless ``single``,
        the errors of its statements stand there."""

    async def change(self, verb: str, *, done: int | None = None, **fields: Any) -> dict[str, Any]:
        """The reply to a command that changes the collection, which is idempotent, or by which the
        server answers the code ``done`` where it was executed before."""

    async def look(self, session: AsyncClientSession | None, located: Located) -> None:
        """Keep the collection from being renamed until the transaction ends. Raises Moved."""

    def check_writable(self, located: Located) -> None:
        """Raise the reason why documents may only be read there."""

    async def transact(self, body: AsyncBody[Result]) -> Result:
        """The result of ``body`` in a transaction. It may run several times."""


class AsyncFenced:
    """Executes each command by itself, repeated after renames and where MongoDB was away."""

    in_transaction = False

    def __init__(self, place: AsyncPlace, codec_options: CodecOptions | None = None) -> None:
        self._place = place
        self._codec_options = codec_options

    @property
    def codec_options(self) -> CodecOptions:
        return self._codec_options or self._place.codec_options

    async def read(self, verb: str, **fields: Any) -> dict[str, Any]:
        options = received(self.codec_options)

        async def attempt(located: Located) -> dict[str, Any]:
            return await self.channel(located).send(verb, fields, options)

        return await self.execute(attempt, seconds=_seconds(fields))

    async def read_between(self, verb: str, **fields: Any) -> dict[str, Any]:
        options = self.codec_options

        async def attempt(located: Located) -> dict[str, Any]:
            channel = self.channel(located)
            # Between two fenced commands the name was the collection's.
            await channel.send("find", ANY, options)
            reply = await channel.send_unfenced(verb, fields, options)
            await channel.send("find", ANY, options)
            return reply

        return await self.execute(attempt, seconds=_seconds(fields))

    async def open(self, verb: str, **fields: Any) -> AsyncOpened:
        options = received(self.codec_options)

        async def attempt(located: Located) -> AsyncOpened:
            return await self.channel(located).open_cursor(verb, fields, options)

        return await self.execute(attempt, seconds=_seconds(fields))

    async def write(self, verb: str, *, single: bool = True, **fields: Any) -> Mapping[str, Any]:
        options = write_options(self.codec_options)
        sending = Sending(verb, fields)
        taken: tuple[str, AsyncConnection, AsyncClientSession, Any] | None = None
        unknown = False  # what became of an earlier try

        async def attempt(located: Located) -> Mapping[str, Any]:
            nonlocal taken, unknown
            self.check_writable(located)
            # A try of which nothing is known is followed by one at the same place, which tells:
            # the server knows its number, or rejects it. So what comes to another cluster, where
            # its number isn't known, was not done.
            another = sending.begin(located.uuid)
            if taken is not None and (another or taken[0] != located.entry.cluster):
                taken[1].return_session(taken[2])
                taken = None
            # All tries are for one connection, also where its URI is replaced meanwhile: a server
            # knows a number by its session, and a session by its user.
            if taken is None:
                connection = self._place.connection(located)
                # The number is drawn when the session is held: one drawn before might be lower.
                session = connection.take_session()
                taken = located.entry.cluster, connection, session, next_number()
            _, connection, session, number = taken
            channel = AsyncChannel(connection, located, self._place.metering)
            stamped = {"txnNumber": number, "writeConcern": _MAJORITY}
            command = {**fields, **sending.content, **stamped}
            try:
                reply = await channel.send(verb, command, options, session)
            except PyMongoError as error:
                if is_refused(error) and not unknown:
                    taken = None  # another user has sessions of its own
                elif is_transient(error):
                    unknown = unknown or may_have_run(error)
                raise
            unknown = False
            sending.note(reply)
            check_write(reply, single=single)
            return sending.whole(reply)

        answered = False
        try:
            reply = await self.execute(
                attempt,
                writes=True,
                # Of another user the server doesn't know the number.
                done_nothing=lambda: not unknown,
                operations=statements_of(fields),
            )
            answered = True
            return reply
        except OperationFailure as error:
            answered = not error.timeout
            raise
        except StateError as error:
            if sending.done:
                raise PartialWrite(sending.done) from error
            raise
        finally:
            # A write that may still run in the server would make the session's next one wait.
            if answered and taken is not None:
                taken[1].return_session(taken[2])

    async def change(self, verb: str, *, done: int | None = None, **fields: Any) -> dict[str, Any]:
        options = self.codec_options
        unknown = False  # what became of an earlier try

        async def attempt(located: Located) -> dict[str, Any]:
            nonlocal unknown
            self.check_writable(located)
            command = {**fields, "writeConcern": _MAJORITY}
            try:
                reply = await self.channel(located).send(verb, command, options)
                check_write(reply, single=True)
            except PyMongoError as error:
                if unknown and isinstance(error, OperationFailure) and error.code == done:
                    return {}
                unknown = unknown or may_have_run(error)
                raise
            return reply

        seconds = _seconds(fields, limits.INDEX_SECONDS)
        return await self.execute(attempt, writes=True, seconds=seconds)

    async def transact(self, body: AsyncBody[Result]) -> Result:
        commits = False

        async def attempt(located: Located) -> Result:
            nonlocal commits
            commits = False
            connection = self._place.connection(located)

            # A rejection must be raised inside: otherwise the commit would fail as retryable,
            # endlessly.
            async def run(session: AsyncClientSession) -> Result:
                nonlocal commits
                commits = False
                result = await body(session, located)
                commits = True
                return result

            async def commit() -> Result:
                nonlocal commits
                with pymongo.timeout(limits.TRANSACTION_SECONDS):
                    async with connection.client.start_session() as session:
                        try:
                            return await transacted(session, run, **TRANSACTION)
                        except OperationFailure as error:
                            # The only commit was refused; or none was sent, for want of a
                            # connection.
                            refused = error.code == UNAUTHORIZED
                            commits = commits and commit_attempts(session) > refused
                            raise

            return await async_to_the_end(commit, cancels=True)

        # The driver made all safe retries; after a commit with unknown result there are none.
        return await self.execute(
            attempt, writes=True, retryable=False, done_nothing=lambda: not commits
        )

    async def begin(self) -> tuple[AsyncClientSession, Located, AsyncChannel]:
        """A session in a transaction that has looked at the collection, where that is, and the way
        to it."""

        async def attempt(located: Located) -> tuple[AsyncClientSession, Located, AsyncChannel]:
            connection = self._place.connection(located)
            channel = AsyncChannel(connection, located, self._place.metering)
            session = connection.client.start_session()
            try:
                await session.start_transaction(**TRANSACTION)
                await channel.send("find", ANY, self.codec_options, session)
            except BaseException:
                await async_in_any_case(session.end_session)
                raise
            return session, located, channel

        return await self.execute(attempt, writes=True)

    async def look(self, session: AsyncClientSession | None, located: Located) -> None:
        """Check that the collection is there, and in a transaction keep it from being renamed until
        that ends. Raises Moved."""
        channel = self.channel(located, session)
        await channel.send("find", ANY, self.codec_options, session)

    def check_writable(self, located: Located) -> None:
        self._place.check_writable(located)

    def channel(self, located: Located, session: AsyncClientSession | None = None) -> AsyncChannel:
        """The way to the collection; for a ``session`` by its client."""
        place = self._place
        connection = place.connection(located)
        if session is not None and session.client is not connection.client:
            connection = AsyncConnection(session.client)  # whose URI was replaced since
        return AsyncChannel(connection, located, place.metering)

    async def execute(
        self,
        attempt: AsyncAttempt[Result],
        *,
        writes: bool = False,
        retryable: bool = True,
        done_nothing: Callable[[], bool] = lambda: True,
        seconds: float = limits.OPERATION_SECONDS,
        operations: int = 1,
    ) -> Result:
        """The result of ``attempt``, called with the collection's place, once so many
        ``operations`` are within the organization's limit; where it ``writes``, with one that is
        known to be read-only only if it is so now.

        Calls it again after a rename, since the server rejected it then; if ``retryable`` also
        after a transient error; and if the server refused the user, there is another one now, and
        earlier calls have ``done_nothing``.
        """
        place = self._place
        located = place.known()
        if located is None:
            with pymongo.timeout(seconds):
                located = await self._locate()
        seconds = min(seconds, place.connection(located).seconds)
        await place.metering.admit(located.entry, operations)
        moved: Moved | None = None
        used: AsyncConnection | None = None
        with pymongo.timeout(seconds):
            for pause_seconds in pauses():  # until the time limit raises in ``attempt``
                try:
                    if moved is not None:
                        located, moved = await place.follow(located, moved.name), None
                    if writes:
                        located = await place.renew(located)
                except PyMongoError as error:  # nothing was sent since the last rejection
                    if not is_transient(error):
                        raise
                    await async_sleep(pause_seconds)
                    continue
                used = used or place.connection(located)
                try:
                    result = await attempt(located)
                except Moved as rejected:
                    moved, used = rejected, None
                except PyMongoError as error:
                    if is_refused(error):
                        if not done_nothing() or not await used.is_replaced():
                            raise
                        used = None
                    elif not (retryable and is_transient(error)):
                        raise
                else:
                    place.confirm(located)
                    return result
                await async_sleep(pause_seconds)
        raise AssertionError("there are always more pauses")

    async def _locate(self) -> Located:
        """The place to try first; again where MongoDB was away."""
        for pause_seconds in pauses():  # until the time limit raises in ``locate``
            try:
                return await self._place.locate()
            except PyMongoError as error:
                if not is_transient(error):
                    raise
            await async_sleep(pause_seconds)
        raise AssertionError("there are always more pauses")


class AsyncInTransaction:
    """Executes commands in a transaction, each once and within the transaction's time; whatever
    fails ends the transaction."""

    in_transaction = True

    def __init__(
        self,
        session: AsyncClientSession,
        located: Located,
        channel: AsyncChannel,
        codec_options: CodecOptions,
        check_writable: Callable[[Located], None],
    ) -> None:
        self.session = session
        self.check_writable = check_writable
        self._located = located
        self._channel = channel
        self._codec_options = codec_options
        self._deadline = time.monotonic() + limits.TRANSACTION_SECONDS

    @property
    def codec_options(self) -> CodecOptions:
        return self._codec_options

    async def read(self, verb: str, **fields: Any) -> dict[str, Any]:
        return await self._send(verb, fields, received(self._codec_options))

    async def open(self, verb: str, **fields: Any) -> AsyncOpened:
        self._channel.charge(1)
        with self.bounded(_seconds(fields)):
            options = received(self._codec_options)
            return await self._channel.open_cursor(verb, fields, options, self.session)

    async def write(self, verb: str, *, single: bool = True, **fields: Any) -> Mapping[str, Any]:
        self.check_writable(self._located)
        reply = await self._send(verb, fields, write_options(self._codec_options))
        check_write(reply, single=single)
        return reply

    async def change(self, verb: str, *, done: int | None = None, **fields: Any) -> dict[str, Any]:
        raise NotOffered(verb, "use it outside of the transaction")

    async def read_between(self, verb: str, **fields: Any) -> dict[str, Any]:
        raise NotOffered(verb, "use it outside of the transaction")

    async def look(self, session: AsyncClientSession | None, located: Located) -> None:
        """Nothing, since its beginning did."""

    async def transact(self, body: AsyncBody[Result]) -> Result:
        return await body(self.session, self._located)

    def channel(self, located: Located, session: AsyncClientSession | None = None) -> AsyncChannel:
        """The way to the collection."""
        return self._channel

    def bounded(self, seconds: float = limits.TRANSACTION_SECONDS) -> AbstractContextManager[Any]:
        """Bound the body by what is left of the transaction's time, and by ``seconds``. It is not
        set for all of the transaction: the caller may end that in another context than the one that
        began it."""
        return pymongo.timeout(max(min(self._deadline - time.monotonic(), seconds), 0.001))

    async def _send(
        self, verb: str, fields: dict[str, Any], options: CodecOptions
    ) -> dict[str, Any]:
        self._channel.charge(statements_of(fields))  # whose transaction has waited at its beginning
        with self.bounded(_seconds(fields)):
            return await self._channel.send(verb, fields, options, self.session)


def _seconds(fields: dict[str, Any], seconds: float = limits.OPERATION_SECONDS) -> float:
    """The time limit of a command, which the driver sends; so it is taken out of ``fields``."""
    given = fields.pop("maxTimeMS", None)
    return min(given / 1000, seconds) if given else seconds  # 0 is no limit, as by PyMongo


def write_options(codec_options: CodecOptions) -> CodecOptions:
    """The options for the reply to a write, which has ids in it that Python may not have."""
    if codec_options.document_class is not RawBSONDocument:
        return codec_options
    return codec_options.with_options(
        document_class=dict, datetime_conversion=DatetimeConversion.DATETIME_AUTO
    )
