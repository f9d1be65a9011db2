"""The way to an organization's collection: commands are fenced, kept within its limits, counted."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import pymongo
from bson.codec_options import CodecOptions
from pymongo.errors import OperationFailure
from pymongo.synchronous.client_session import ClientSession
from pymongo.synchronous.command_cursor import CommandCursor

from .. import limits
from ..directory import Located
from ..fence import rejection
from ..runtime import take_received
from ..usage import read_bytes, statements_of, written_bytes
from .connections import Connection
from .metering import Metering


class Channel:
    """Sends commands to one organization's collection, wherever it is now."""

    __slots__ = ("_connection", "_located", "_metering")

    def __init__(self, connection: Connection, located: Located, metering: Metering) -> None:
        self._connection = connection
        self._located = located
        self._metering = metering

    def send(
        self,
        verb: str,
        fields: Mapping[str, Any],
        codec_options: CodecOptions,
        session: ClientSession | None = None,
    ) -> dict[str, Any]:
        """The reply to a fenced command, as its placement tells it. Raises Moved, LimitExceeded,
        and PyMongo's errors."""
        fenced = {**fields, "collectionUUID": self._located.uuid}
        return self.send_unfenced(verb, fenced, codec_options, session)

    def send_unfenced(
        self,
        verb: str,
        fields: Mapping[str, Any],
        codec_options: CodecOptions,
        session: ClientSession | None = None,
    ) -> dict[str, Any]:
        """The reply to a command that takes no fence, likewise."""
        located, metering = self._located, self._metering
        placement, database = located.placement, self._database
        bytes_in = written_bytes(fields, codec_options)
        if bytes_in:
            metering.admit_growth(located, database, verb, fields, bytes_in)
        command = {verb: located.name, **placement.command(verb, fields, codec_options)}
        begun = time.perf_counter()
        try:
            reply = database.command(command, session=session, codec_options=codec_options)
        except OperationFailure as error:
            raise rejection(error) or placement.error(error) from error
        finally:
            seconds = time.perf_counter() - begun
            metering.count(located.entry, bytes_in, 0, seconds)
        told = placement.reply(verb, reply, codec_options)
        if (cursor := told.get("cursor")) is not None:
            metering.count_read(located.entry, read_bytes(cursor["firstBatch"], codec_options))
        elif verb == "delete" or (verb == "update" and told["n"] > len(fields["updates"])):
            metering.count_changed(located.entry, verb, told["n"] - statements_of(fields))
        return told

    def open_cursor(
        self,
        verb: str,
        fields: Mapping[str, Any],
        codec_options: CodecOptions,
        session: ClientSession | None = None,
    ) -> "Opened":
        """The cursor of a fenced command. Raises Moved, and PyMongo's errors.

        It needs no further fence: a cursor belongs to the collection with the UUID, and ends where
        that is renamed.
        """
        located, placement = self._located, self._located.placement
        fenced = {**fields, "collectionUUID": located.uuid}
        command = {verb: located.name, **placement.command(verb, fenced, codec_options)}
        begun = time.perf_counter()
        try:
            # The database's own options are those of the parts after the first.
            decoding = self._database.with_options(codec_options=codec_options)
            cursor = decoding.cursor_command(command, session=session, codec_options=codec_options)
        except OperationFailure as error:
            raise rejection(error) or placement.error(error) from error
        finally:
            self._metering.count(located.entry, 0, 0, time.perf_counter() - begun)
        unwrapped = placement.unwrapping(verb, codec_options)
        return Opened(self, cursor, unwrapped, codec_options, waits=session is None)

    def receive(
        self, cursor: CommandCursor, codec_options: CodecOptions, *, first: bool, waits: bool
    ) -> list[Any]:
        """The next part of a cursor's documents, as they are stored. Raises StopAsyncIteration at
        the end, and LimitExceeded if it ``waits`` for the limit."""
        entry, metering = self._located.entry, self._metering
        asks = not first and cursor.alive
        if asks and waits:
            metering.admit(entry, 1)
        elif asks:
            metering.charge(entry, 1)
        begun = time.perf_counter()
        with pymongo.timeout(limits.OPERATION_SECONDS):
            part = [cursor.next()]
        part += take_received(cursor)
        size_bytes = read_bytes(part, codec_options)
        if first:
            metering.count_read(entry, size_bytes)
        else:
            metering.count(entry, 0, size_bytes, time.perf_counter() - begun)
        return part

    def charge(self, operations: int) -> None:
        """Count operations that don't wait for a limit; those after them do."""
        self._metering.charge(self._located.entry, operations)

    @property
    def _database(self) -> Any:
        return self._connection.database(self._located.entry.database)


class Opened:
    """A cursor of the server."""

    def __init__(
        self,
        channel: Channel,
        cursor: CommandCursor,
        unwrapped: Callable[[Any], Any] | None,
        codec_options: CodecOptions,
        *,
        waits: bool,
    ) -> None:
        self._channel = channel
        self._cursor = cursor
        self._unwrapped = unwrapped
        self._codec_options = codec_options
        self._waits = waits
        self._first = True

    def receive(self) -> list[Any]:
        """The next part of its documents. Raises StopAsyncIteration at the end."""
        first, self._first = self._first, False
        part = self._channel.receive(
            self._cursor, self._codec_options, first=first, waits=self._waits
        )
        return part if self._unwrapped is None else [self._unwrapped(each) for each in part]

    def batch_size(self, batch_size: int) -> None:
        """Have each further part bring at most so many."""
        self._cursor.batch_size(batch_size)

    def close(self) -> None:
        """End it early, in the server too."""
        self._cursor.close()
