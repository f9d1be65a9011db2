"""Waiting, sharing and forking: what differs between the asynchronous and the synchronous form.

All else is written once, in ``_async``, from where ``_sync`` is generated.
"""

import asyncio
import concurrent.futures
import os
import time
from collections.abc import Awaitable, Callable, Hashable
from contextvars import Context
from typing import Any, Protocol, TypeVar
from weakref import WeakSet, finalize

import pymongo
from pymongo import _csot
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.client_session import ClientSession
from pymongo.errors import ExecutionTimeout

from . import limits
from .directory import Located

Result = TypeVar("Result")
AsyncAttempt = Callable[[Located], Awaitable[Result]]
Attempt = Callable[[Located], Result]
AsyncBody = Callable[[AsyncClientSession, Located], Awaitable[Result]]
Body = Callable[[ClientSession, Located], Result]
AsyncWork = Callable[[AsyncClientSession], Awaitable[Result]]
Work = Callable[[ClientSession], Result]
AsyncRead = Callable[[], Awaitable[Result]]
Read = Callable[[], Result]

async_sleep = asyncio.sleep
sleep = time.sleep
async_in_thread = asyncio.to_thread


def in_thread(call: Callable[[], Result]) -> Result:
    """The result of a call that blocks, which here it may."""
    return call()


def async_close_behind(user: Any, client: Any) -> None:
    """Close the client, in this event loop, once nothing has its ``user`` any more."""
    loop = asyncio.get_running_loop()

    def close() -> None:
        task = loop.create_task(client.close())
        _closing.add(task)
        task.add_done_callback(_closing.discard)

    def begin() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(close)

    finalize(user, begin).atexit = False


def close_behind(user: Any, client: Any) -> None:
    """Close the client once nothing has its ``user`` any more."""
    finalize(user, client.close).atexit = False


_closing: set[asyncio.Task[None]] = set()


async def async_to_the_end(
    work: AsyncRead[Result], *, cancels: bool = False, context: Context | None = None
) -> Result:
    """Run to completion despite cancellation of the caller, in a task of its own.

    If that ``cancels`` it, it is cancelled as well, once, and has the time to clean up. In a scope
    of anyio, as in servers' handling of a request, each of the caller's own awaits is cancelled,
    and nothing would tell the server that a transaction is over.
    """
    task = asyncio.get_running_loop().create_task(_awaited(work), context=context)
    _ending.add(task)
    task.add_done_callback(_ended)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if cancels:
            task.cancel()
        await asyncio.wait({task})
        raise


def to_the_end(work: Read[Result], *, cancels: bool = False) -> Result:
    """Run to completion: nobody cancels here."""
    return work()


async def async_in_any_case(work: AsyncRead[Result]) -> Result:
    """Run to completion despite cancellation, with a timeout independent of the caller's: of its
    ``pymongo.timeout`` there may be none left to send anything."""

    async def bounded() -> Result:
        with pymongo.timeout(limits.ENDING_SECONDS):
            return await work()

    return await async_to_the_end(bounded, context=Context())


def in_any_case(work: Read[Result]) -> Result:
    """Run to completion, with a timeout independent of the caller's."""

    def bounded() -> Result:
        with pymongo.timeout(limits.ENDING_SECONDS):
            return work()

    return Context().run(bounded)


async def _awaited(work: AsyncRead[Result]) -> Result:
    return await work()


def _ended(task: asyncio.Future[Any]) -> None:
    _ending.discard(task)
    if not task.cancelled():
        task.exception()  # which its caller has, or left behind


_ending: set[asyncio.Future[Any]] = set()


class _Forked(Protocol):
    def after_fork(self) -> None: ...


_forked: WeakSet[Any] = WeakSet()


def renew_after_fork(shared: _Forked) -> None:
    """Call ``after_fork`` of what lives, in each child, before anything else uses it there."""
    _forked.add(shared)


def _after_fork() -> None:
    for shared in list(_forked):
        shared.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def remaining() -> float | None:
    """The seconds left of the caller's ``pymongo.timeout``, which PyMongo doesn't tell publicly."""
    return _csot.remaining()


def _out_of_time() -> ExecutionTimeout:
    return ExecutionTimeout("the time limit ended while the directory was being read", 50)


def take_received(cursor: Any) -> list[Any]:
    """Take what PyMongo's cursor has received and not returned yet. Publicly it tells no more than
    one document at a time, which is right as well, and slower."""
    received = getattr(cursor, "_data", None)
    if not received:
        return []
    taken = list(received)
    received.clear()
    return taken


def keep_from_reuse(session: Any) -> None:
    """Have PyMongo discard the server's session at this one's end, which it offers not publicly."""
    pooled = getattr(session, "_server_session", None)
    if pooled is not None:
        pooled.mark_dirty()


def commit_attempts(session: Any) -> int:
    """How often it was tried to commit a session's transaction, as far as PyMongo tells."""
    return getattr(getattr(session, "_transaction", None), "attempt", 2)


class AsyncFlights:
    """Has those who ask for the same at the same time wait for one read, in one event loop."""

    def __init__(self) -> None:
        self._flights: dict[Hashable, asyncio.Future[Any]] = {}

    async def share(self, key: Hashable, read: AsyncRead[Result]) -> Result:
        """The result of ``read``, or of one that runs. One that failed is begun again."""
        while flight := self._flights.get(key):
            try:
                done, result = await asyncio.wait_for(asyncio.shield(flight), remaining())
            except TimeoutError:
                raise _out_of_time() from None
            if done:
                return result
        flight = self._flights[key] = asyncio.get_running_loop().create_future()
        outcome: tuple[bool, Any] = False, None
        try:
            result = await read()
            outcome = True, result
            return result
        finally:
            del self._flights[key]
            flight.set_result(outcome)


class Flights:
    """Has those who ask for the same at the same time wait for one read, in one process."""

    def __init__(self) -> None:
        self._flights: dict[Hashable, concurrent.futures.Future[Any]] = {}

    def share(self, key: Hashable, read: Read[Result]) -> Result:
        """The result of ``read``, or of one that runs. One that failed is begun again."""
        own: concurrent.futures.Future[Any] = concurrent.futures.Future()
        # "setdefault" is atomic.
        while (flight := self._flights.setdefault(key, own)) is not own:
            try:
                done, result = flight.result(remaining())
            except TimeoutError:
                raise _out_of_time() from None
            if done:
                return result
        outcome: tuple[bool, Any] = False, None
        try:
            result = read()
            outcome = True, result
            return result
        finally:
            del self._flights[key]
            own.set_result(outcome)


class AsyncScoped:
    """Something for each event loop of this process, made at first use. What a loop had that was
    closed is forgotten when another one's is made."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._inherited: list[Any] = []
        self._made: dict[asyncio.AbstractEventLoop, Any] = {}
        renew_after_fork(self)

    def get(self) -> Any:
        """The running event loop's own."""
        loop = asyncio.get_running_loop()
        made = self._made.get(loop)
        if made is None:
            for each in list(self._made):  # clients refer to their loop, so none is collected
                if each.is_closed():
                    self._made.pop(each, None)
            made = self._made[loop] = self._make()
        return made

    def pop(self) -> Any:
        """The running event loop's own, if there is one, which is not kept any more."""
        return self._made.pop(asyncio.get_running_loop(), None)

    def clear(self) -> None:
        """Make all anew at the next use."""
        self._made = {}

    def after_fork(self) -> None:
        self._inherited.append(self._made)  # kept, so that nothing closes the parent's sockets
        self.clear()


class Scoped:
    """Something for each process, made at first use, once whatever the threads."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._inherited: list[Any] = []
        self._made: Any = None
        self._flights = Flights()
        renew_after_fork(self)

    def get(self) -> Any:
        """This process's own."""
        made = self._made
        return self._flights.share("made", self._make_once) if made is None else made

    def pop(self) -> Any:
        """This process's own, if there is one, which is not kept any more."""
        made, self._made = self._made, None
        return made

    def clear(self) -> None:
        """Make all anew at the next use."""
        self._made = None

    def after_fork(self) -> None:
        self._inherited.append(self._made)  # kept, so that nothing closes the parent's sockets
        self._flights = Flights()
        self.clear()

    def _make_once(self) -> Any:
        if self._made is None:
            self._made = self._make()
        return self._made
