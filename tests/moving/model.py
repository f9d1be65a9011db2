"""A small model of moves: two sides, what MongoDB promises of each command, and those who send them.

A writer and a mover are generators of commands. What a generator has yielded it has in hand: it may
be carried out much later, never, or with its answer lost. So wherever a process may die, or sleep
and wake, the model's may.
"""

import math
from collections import Counter
from copy import copy
from dataclasses import dataclass, field, replace
from functools import partial

from portal.documents.moves import MoveState
from portal.organizations.lifecycle.states import RULES, Side, may_follow

CLOSED = math.inf
MARKER = "marker"


class Refused(Exception):
    """No collection of that UUID has that name (361); it has ``actual_name``, if it is there."""

    def __init__(self, actual_name=None):
        self.actual_name = actual_name


class Overtaken(Exception):
    """Another attempt is the last."""


class Duplicate(Exception):
    """One of the documents is already there (11000)."""


class AnswerLost(Exception):
    """The command was carried out, or wasn't."""


class Away(Exception):
    """The cluster doesn't answer."""


class StreamLost(Exception):
    """The oplog no longer reaches back to where the stream should go on (286)."""


@dataclass(frozen=True)
class Place:
    """A side's pool, or a collection of its own there, once it has a UUID."""

    side: str
    pool: bool
    uuid: int | None = None


@dataclass
class Collection:
    """A collection, and what the change stream tells of it: written ids, in order."""

    side: str
    name: str
    documents: dict = field(default_factory=dict)
    events: list = field(default_factory=list)
    forgotten: int = 0  # so many of the first events are no longer in the oplog


@dataclass
class PoolRecord:
    """What the directory says of a pool."""

    generation: int = 1
    announced: int | None = None

    @property
    def names(self):
        return tuple(f"gen_{n}" for n in (self.generation, self.announced) if n)


@dataclass
class Move:
    """The record of a move, or of a way back."""

    id: int
    source: Place
    target: Place
    target_name: str  # until the target gets the organization's
    state: MoveState
    way_back_of: int | None = None
    without_way_back: bool = False
    attempt: int = 0
    leased: bool = False
    position: int | None = None
    copied_to: int | None = None
    reverse_position: int | None = None
    fences: int = 0
    failed: bool = False  # its fence: whoever comes gives the source its name back
    switch_wanted: bool = True
    abort_wanted: bool = False
    outcome: str | None = None

    @property
    def open(self):
        return self.state != MoveState.DONE

    @property
    def fence_names(self):
        """Those of all its fences, the last one first."""
        return tuple(self.name_of_fence(n) for n in range(self.fences, 0, -1))

    def name_of_fence(self, number):
        return f"moving_{self.id}_{number}"

    @property
    def unwanted(self):
        """The place that isn't wanted any more."""
        return self.source if self.outcome in ("moved", "went back") else self.target


@dataclass(frozen=True)
class Entry:
    """What the directory says of the organization; without names stores wait."""

    place: Place
    names: tuple[str, ...] | None
    operation: int | None


@dataclass(frozen=True)
class Statement:
    """A statement on one document, with the number by which its cluster recognises it."""

    number: int
    kind: str
    id: int

    def apply(self, documents):
        if self.kind == "delete":
            documents.pop(self.id, None)
        elif self.kind == "replace":
            documents[self.id] = (self.number, 0)
        else:
            value, increments = documents.get(self.id, (0, 0))
            documents[self.id] = (value, increments + 1)


class World:
    """Master data, and the servers of both sides. Each method is one command, or one transaction;
    whatever happens, what was acknowledged is in the organization's place."""

    def __init__(self, pools, one_cluster):
        self.clusters = {side: "one" if one_cluster else side for side in pools}
        self.away, self.uuids = set(), 0
        self.collections, self.pool_records = {}, {}
        self.tokens, self.numbers = {}, set()
        self.moves, self.slug = {}, 1
        self.operation = self.final_name = None
        self.pools = {}
        for side, pool in pools.items():
            if pool:
                uuid = self._make(side, "gen_1")
                self.pools[side] = Place(side, True, uuid)
                self.pool_records[uuid] = PoolRecord()
        side = next(iter(pools))
        self.placement = self.pools.get(side) or Place(side, False, self._make(side, "org_1"))
        self.name = None if self.placement.pool else "org_1"
        # What writers may expect, and may have read.
        self.expected, self.done, self.granted = {}, set(), set()
        self.seen = Counter()
        self.check()

    def _make(self, side, name):
        self.uuids += 1
        self.collections[self.uuids] = Collection(side, name)
        return self.uuids

    # What must be true after each command.

    def check(self):
        entry = self.entry()
        names = self.pool_names(entry.place) if entry.place.pool else entry.names
        if entry.names is not None:
            self.granted |= {(entry.place.uuid, name) for name in names}
        assert self.placement.uuid in self.collections, "lost: all"
        found = self.collections[self.placement.uuid].documents
        assert found == self.expected, f"lost or twice: {found}, not {self.expected}"
        for uuid in self.collections:
            if self.writable(uuid):
                assert uuid == self.placement.uuid, "writable, and not the organization's place"
        if move := self.open_move():
            writable = RULES[move.state].writable
            if writable:
                side = move.source if writable == Side.SOURCE else move.target
                assert self.placement == side, f"in {move.state} the place is {self.placement}"
            self.seen[move.state] += 1

    def writable(self, uuid):
        """Whether a writer may have read a name by which the collection is to be had now."""
        return (uuid, self.collections[uuid].name) in self.granted

    def leftovers(self):
        """What nobody needs when no move is open."""
        own = {
            uuid
            for uuid, one in self.collections.items()
            if one.documents or uuid not in self.pool_records
        }
        yield from own - {self.placement.uuid}
        yield from (key for key, attempt in self.tokens.items() if attempt != CLOSED)
        if self.operation is not None:
            yield self.operation
        if not self.placement.pool and self.collections[self.placement.uuid].name != self.name:
            yield self.collections[self.placement.uuid].name

    # The directory.

    def entry(self):
        if self.placement.pool:
            return Entry(self.placement, None if self.operation else (), self.operation)
        names = (self.name, self.final_name) if self.final_name else (self.name,)
        return Entry(self.placement, names, self.operation)

    def pool_names(self, place):
        return self.pool_records[place.uuid].names

    def announce(self, place):
        """A generation that nobody can have read yet."""
        record = self.pool_records[place.uuid]
        unread = (record.announced or record.generation) + 1
        record.announced = record.announced or unread
        return unread

    def pool_record(self, place):
        return copy(self.pool_records[place.uuid])

    def change_pool(self, place, before, after):
        if self.pool_records[place.uuid] == before:
            self.pool_records[place.uuid] = after

    # Moves.

    def open_move(self):
        return next((move for move in reversed(self.moves.values()) if move.open), None)

    def start(self, without_way_back, switch_wanted, state):
        """As a person does: to the side where the organization isn't."""
        if self.open_move() or self.operation:
            return
        [side] = set(self.clusters) - {self.placement.side}
        number = len(self.moves) + 1
        move = self._insert(
            self.placement, self.pools.get(side) or Place(side, False), f"move_{number}", state
        )
        move.without_way_back, move.switch_wanted = without_way_back, switch_wanted

    def _insert(self, *of_move):
        number = len(self.moves) + 1
        self.moves[number] = Move(number, *of_move)
        return self.moves[number]

    def approve(self):
        move = self.open_move()
        if move and move.state == MoveState.REQUESTED:
            self._follow(move, MoveState.COPYING)

    def read_open(self):
        return copy(move) if (move := self.open_move()) else None

    def abort(self, seen):
        """As a person does who saw the move in that state: a compare-and-set."""
        move = self.moves[seen.id]
        if move.state != seen.state or not RULES[seen.state].may_abort:
            return
        if move.state == MoveState.FENCED:
            move.failed = move.abort_wanted = True
        elif move.state == MoveState.REQUESTED:
            self._follow(move, MoveState.DONE)
        else:
            self._follow(move, MoveState.ENDING)
        move.outcome = "ended" if move.way_back_of else "aborted"

    def fail_fence(self):
        """As the engine does when a fence takes too long."""
        move = self.open_move()
        if move and move.state == MoveState.FENCED:
            move.failed = True

    def want_switch(self):
        if move := self.open_move():
            move.switch_wanted = True

    def rename_organization(self):
        """As its members do while no operation runs."""
        if self.operation or self.placement.pool or self.clusters[self.placement.side] in self.away:
            return
        collection = self.collections[self.placement.uuid]
        if collection.name == self.name:
            self.slug += 1
            collection.name = self.name = f"org_{self.slug}"

    def intend_repair(self, entry):
        """The name that the collection has, unless the organization isn't as it was read."""
        return self.name_of(entry.place) if entry == self.entry() else None

    def acquire(self):
        move = self.open_move()
        if move is None or move.state == MoveState.REQUESTED or move.leased:
            return None
        move.attempt += 1
        move.leased = True
        return copy(move)

    def release(self, move):
        self.held(move)
        self.moves[move.id].leased = False

    def held(self, move):
        record = self.moves[move.id]
        if record.attempt != move.attempt:
            raise Overtaken
        return copy(record)

    def update(self, move, **changes):
        record = self._held_as(move)
        if state := changes.pop("state", None):
            self._follow(record, state)
        for name, value in changes.items():
            setattr(record, name, value)
        return copy(record)

    def _held_as(self, move):
        self.held(move)
        record = self.moves[move.id]
        if record.state != move.state:
            raise Overtaken
        return record

    @staticmethod
    def _follow(move, state):
        assert may_follow(move.state, state), f"{state} after {move.state}"
        move.state = state

    def intend_fence(self, move, **changes):
        """The intent: from here on the organization has an operation."""
        record = self._held_as(move)
        if self.operation:
            raise Overtaken
        self.operation = move.id
        record.fences += 1
        record.failed = False
        return self.update(move, state=MoveState.FENCED, **changes)

    def switch(self, move):
        if self._held_as(move).failed:
            raise Overtaken
        changed = self.update(move, state=MoveState.SWITCHED)
        self.placement = move.target
        if move.target.pool:
            self.operation = self.name = None
        else:
            self.name = move.target_name
            self.final_name = f"org_{self.slug}"
        return changed

    def roll_back(self, move):
        state = MoveState.SHADOW if move.way_back_of else MoveState.READY
        changed = self.update(move, state=state, failed=False)
        self.operation = None
        return changed

    def finish(self, move):
        """The target has its name. In the same transaction begins the way back."""
        keeps = not (move.way_back_of or move.without_way_back)
        outcome = "went back" if move.way_back_of else "moved"
        self.update(move, state=MoveState.DONE if keeps else MoveState.ENDING, outcome=outcome)
        if self.operation == move.id:
            self.name, self.operation, self.final_name = self.final_name, None, None
        if keeps:
            name = None if move.source.pool else move.fence_names[0]
            way_back = self._insert(move.target, move.source, name, MoveState.SHADOW)
            way_back.way_back_of, way_back.position = move.id, move.reverse_position
            way_back.switch_wanted = False

    # Servers.

    def _server(self, side):
        if self.clusters[side] in self.away:
            raise Away

    def _collection(self, place):
        self._server(place.side)
        if place.uuid not in self.collections:
            raise Refused
        return self.collections[place.uuid]

    def rename(self, place, name, new_name):
        collection = self._collection(place)
        if collection.name != name:
            raise Refused(collection.name)
        collection.name = new_name

    def drop(self, place):
        self._server(place.side)
        self.collections.pop(place.uuid, None)

    def name_of(self, place):
        return self._collection(place).name

    def uuid_of(self, side, name):
        self._server(side)
        named = (u for u, one in self.collections.items() if (one.side, one.name) == (side, name))
        return next(named, None)

    def execute(self, place, name, statement):
        """A writer's statement; one that was executed in this cluster isn't again."""
        self._server(place.side)
        if (self.clusters[place.side], statement.number) in self.numbers:
            return
        collection = self._collection(place)
        if collection.name != name:
            raise Refused(collection.name)
        statement.apply(collection.documents)
        collection.events.append(statement.id)
        self.numbers.add((self.clusters[place.side], statement.number))
        if statement.number not in self.done:
            self.done.add(statement.number)
            statement.apply(self.expected)

    def stream_end(self, place):
        return len(self._collection(place).events)

    def read_stream(self, place, position, limit=3):
        """Some ids that were written, and where to go on."""
        collection = self._collection(place)
        if position < collection.forgotten:
            raise StreamLost
        return collection.events[position : position + limit]

    def overrun(self, side):
        """The oplog is full: of what was written until now nothing is in it any more."""
        for collection in self.collections.values():
            if collection.side == side:
                collection.forgotten = len(collection.events)

    def read(self, place, ids):
        documents = self._collection(place).documents
        return {i: documents[i] for i in ids if i in documents}

    def read_page(self, place, after):
        """The next page, of one document."""
        documents = self._collection(place).documents
        ids = sorted(i for i in documents if after is None or i > after)
        return {i: documents[i] for i in ids[:1]}

    def read_all(self, place):
        """All documents, and up to where the stream tells of them."""
        collection = self._collection(place)
        return dict(collection.documents), len(collection.events)

    # What movers write names their attempt.

    def raise_token(self, move, side):
        """Keep those of earlier attempts from writing to the side's cluster; the attempt there."""
        self._server(side)
        key = self.clusters[side], move.id
        self.tokens[key] = max(self.tokens.get(key, 0), move.attempt)
        return self.tokens[key]

    def close_token(self, move, side):
        self._server(side)
        self.tokens[self.clusters[side], move.id] = CLOSED

    def check_token(self, move, side):
        self._server(side)
        if self.tokens.get((self.clusters[side], move.id)) != move.attempt:
            raise Overtaken

    def create(self, move):
        self.check_token(move, move.target.side)
        side, name = move.target.side, move.target_name
        return self.uuid_of(side, name) or self._make(side, name)

    def insert(self, move, place, documents):
        self.check_token(move, place.side)
        self._check_name(move, place)
        if documents.keys() & self._collection(place).documents.keys():
            raise Duplicate
        self._write(place, documents, documents)

    def apply(self, move, place, ids, documents):
        self.check_token(move, place.side)
        self._check_name(move, place)
        self._write(place, ids, documents)

    def _check_name(self, move, place):
        name = self._collection(place).name
        if place == move.target and not place.pool and name != move.target_name:
            raise Refused(name)

    def _write(self, place, ids, documents):
        collection = self._collection(place)
        for i in ids:
            collection.documents.pop(i, None)
        collection.documents.update(documents)
        collection.events.extend(ids)

    def insert_and_delete_marker(self, move, place):
        self.apply(move, place, [MARKER], {})

    def delete_some(self, move, place, beyond):
        self.check_token(move, place.side)
        documents = self._collection(place).documents
        ids = sorted(i for i in documents if beyond is None or i > beyond)[:2]
        self._write(place, ids, {})
        return bool(ids)


class Actor:
    """A process: its next command is in its hand, until the world has it carry it out."""

    def __init__(self, world, commands):
        self.world, self.commands = world, commands
        self.ended = False
        self._next(lambda: next(commands))

    def _next(self, advance):
        try:
            self.in_hand = advance()
        except StopIteration:
            self.ended = True

    def step(self):
        if self.ended:
            return None
        try:
            answer = self.in_hand()
        except (Refused, Overtaken, Duplicate, Away, StreamLost) as error:
            self._next(partial(self.commands.throw, error))
            answer = error
        else:
            self._next(partial(self.commands.send, answer))
        self.world.check()
        return answer

    def lose_answer(self, executed):
        """The connection breaks after the command was carried out, or before."""
        if self.ended:
            return
        if executed:
            self._execute()
        self._next(lambda: self.commands.throw(AnswerLost()))

    def die(self, executed):
        if executed and not self.ended:
            self._execute()
        self.ended = True

    def _execute(self):
        try:
            self.in_hand()
        except (Refused, Overtaken, Duplicate, Away, StreamLost):
            return
        finally:
            self.world.check()


class Writer:
    """An application's store: it keeps what the directory said until it is refused."""

    def __init__(self, world):
        self.world, self.known = world, None

    def write(self, statement):
        while True:
            fresh = self.known is None
            if fresh:
                try:
                    self.known = yield from self.look_up()
                except AnswerLost:
                    continue
            if self.known is None:
                continue  # fenced: it waits
            for name in self.known.names:
                if (yield from self.send(self.known.place, name, statement)):
                    return
            if fresh and self.known.operation is None and not self.known.place.pool:
                yield from self.repair(self.known)
            self.known = None

    def look_up(self):
        world = self.world
        entry = yield world.entry
        if not entry.place.pool:
            return entry
        names = yield partial(world.pool_names, entry.place)
        again = yield world.entry  # its names are for an organization that was read later
        return replace(again, names=names) if again == entry and entry.names is not None else None

    def send(self, place, name, statement):
        """Whether it was executed. It isn't sent elsewhere before that is known."""
        while True:
            try:
                yield partial(self.world.execute, place, name, statement)
            except Refused:
                return False
            except (AnswerLost, Away):
                continue
            return True

    def repair(self, entry):
        """Give the collection its recorded name back, which somebody who slept has renamed."""
        world = self.world
        try:
            actual = yield partial(world.intend_repair, entry)
            if actual:
                yield partial(world.rename, entry.place, actual, entry.names[0])
        except (Refused, AnswerLost, Away):
            return


class Follower:
    """Ids that were written to a place since a position of its stream."""

    def __init__(self, world, place, position):
        self.world, self.place, self.position = world, place, position
        self.dirty, self.last = set(), {}

    def pump(self, beyond=None):
        """Read on; ids ``beyond`` one that will be read anyway are none of its business."""
        ids = yield partial(self.world.read_stream, self.place, self.position)
        for number, i in enumerate(ids, self.position):
            self.last[i] = number
            if beyond is None or i == MARKER or i <= beyond:
                self.dirty.add(i)
        self.position += len(ids)

    def reach(self, position):
        while self.position < position:
            yield from self.pump()


class Mover:
    """A process that carries moves out, one after the other."""

    def __init__(self, world):
        self.world, self.move = world, None

    def run(self):
        while True:
            try:
                self.move = yield self.world.acquire
                if self.move:
                    yield from self.carry_out()
            except (Refused, Overtaken, Duplicate, Away, AnswerLost):
                if self.move:
                    yield from self.release()

    def release(self):
        try:
            yield partial(self.world.release, self.move)
        except (Overtaken, AnswerLost):
            return

    def carry_out(self):
        try:
            yield from self.take_over()
        except Away:
            # A target that is away, perhaps for good, must leave nobody unwritable.
            if self.move.state != MoveState.FENCED:
                raise
            self.move = yield partial(self.world.update, self.move, failed=True)
        while self.move.open:
            yield from getattr(self, self.move.state)()
            self.move = yield partial(self.world.held, self.move)

    def take_over(self):
        """First the tokens, then the look whether it is still the last attempt."""
        self.closed = False
        for place in (self.move.target, self.move.source):
            token = yield partial(self.world.raise_token, self.move, place.side)
            self.closed |= token == CLOSED
        self.move = yield partial(self.world.held, self.move)

    # One method for each state.

    def copying(self):
        world = self.world
        if self.move.target.uuid is None:
            uuid = yield partial(world.create, self.move)
            target = replace(self.move.target, uuid=uuid)
            self.move = yield partial(world.update, self.move, target=target)
        source, target = self.move.source, self.move.target
        if self.move.position is None:
            position = yield partial(world.stream_end, source)
            self.move = yield partial(world.update, self.move, position=position, copied_to=None)
        # Written before somebody died, and perhaps deleted since.
        yield from self.empty(target, beyond=self.move.copied_to)
        follower = Follower(world, source, self.move.position)
        try:
            yield from self.copy(follower)
            yield from self.apply(follower)
        except StreamLost:
            yield from self.begin_again()
        else:
            yield from self.go_on(MoveState.VERIFYING, follower)

    def copy(self, follower):
        """In rounds: a page is read while another is written, but none while what was written
        meanwhile is applied; it would bring back what was deleted."""
        page = yield from self.read_page(self.move.copied_to)
        while page:
            ahead = yield from self.read_page(max(page))
            for each in filter(None, (page, ahead)):
                yield from self.insert(each)
                copied_to = max(each)
            yield from follower.pump(beyond=copied_to)
            yield from self.apply(follower)
            yield from self.store(follower, copied_to=copied_to)
            page = yield from self.read_page(copied_to)

    def read_page(self, after):
        return (yield partial(self.world.read_page, self.move.source, after))

    def insert(self, page):
        source, target = self.move.source, self.move.target
        try:
            yield partial(self.world.insert, self.move, target, page)
        except Duplicate:
            yield from self.apply_ids(source, target, set(page))

    def begin_again(self):
        nothing = {"position": None, "copied_to": None}
        state = {} if self.move.state == MoveState.COPYING else {"state": MoveState.COPYING}
        self.move = yield partial(self.world.update, self.move, **nothing, **state)

    def verifying(self):
        world, source, target = self.world, self.move.source, self.move.target
        follower = Follower(world, source, self.move.position)
        try:
            expected, position = yield partial(world.read_all, source)
            yield from follower.reach(position)
            yield from self.apply(follower)
            found, _ = yield partial(world.read_all, target)
            end = yield partial(world.stream_end, source)
            yield from follower.reach(end)
            yield from self.apply(follower)
        except StreamLost:
            return (yield from self.begin_again())
        yield from self.go_on(MoveState.READY, follower)
        for i in expected.keys() | found.keys():
            if expected.get(i) != found.get(i):
                assert follower.last.get(i, -1) >= position, "a difference that no write explains"
        return None

    def ready(self):
        world, source, target = self.world, self.move.source, self.move.target
        follower = Follower(world, source, self.move.position)
        try:
            yield from follower.pump()
            yield from self.apply(follower)
            yield from self.store(follower)
        except StreamLost:
            return (yield from self.begin_again())
        if self.move.abort_wanted:
            return (yield from self.give_up("aborted"))
        if not self.move.switch_wanted:
            return None
        changes = {}
        if not self.move.without_way_back:
            changes["reverse_position"] = yield from self.exercise(source, target)
        self.move = yield partial(world.intend_fence, self.move, **changes)
        return None

    def exercise(self, source, target):
        """A marker goes the way back; where that begins."""
        world = self.world
        begin = yield partial(world.stream_end, target)
        yield partial(world.insert_and_delete_marker, self.move, target)
        follower = Follower(world, target, begin)
        try:
            while MARKER not in follower.dirty:
                yield from follower.pump()
        except StreamLost:
            raise Refused from None
        yield from self.apply_exercise(follower, source)
        return begin

    def apply_exercise(self, follower, source):
        """Of what the reverse stream brings the marker alone: all else is the copy's own."""
        yield partial(self.world.apply, self.move, source, [MARKER], {})

    def fenced(self):
        if self.move.failed:
            return (yield from self.give_back())
        source, target = self.move.source, self.move.target
        try:
            yield from self.drain()
        except StreamLost:
            self.move = yield partial(self.world.update, self.move, failed=True)
            return None
        yield from self.switch(source, target)
        return None

    def drain(self):
        """Have writers refused, and all applied that they had written."""
        yield from self.fence()
        end = yield partial(self.world.stream_end, self.move.source)
        follower = Follower(self.world, self.move.source, self.move.position)
        yield from follower.reach(end)
        yield from self.apply(follower)

    def fence(self):
        if self.move.source.pool:
            return (yield from self.fence_pool(self.move.source))
        fenced, *earlier = self.move.fence_names
        yield from self.rename(self.move.source, (self.world.name, *earlier), fenced)
        return None

    def give_back(self):
        world = self.world
        if not self.move.source.pool:
            yield from self.rename(self.move.source, self.move.fence_names, world.name)
        self.move = yield partial(world.roll_back, self.move)

    def rename(self, place, names, new_name):
        """From one of these names alone: by any other somebody went on."""
        name = names[0]
        while True:
            try:
                yield partial(self.world.rename, place, name, new_name)
            except Refused as found:
                name = found.actual_name
                if name == new_name:
                    return
                if name not in names:
                    raise
            else:
                return

    def fence_pool(self, pool):
        world = self.world
        unread = yield partial(world.announce, pool)
        while True:
            record = yield partial(world.pool_record, pool)
            if record.generation >= unread:
                return
            if record.announced is None:
                after = replace(record, announced=record.generation + 1)
            else:
                name, new_name = f"gen_{record.generation}", f"gen_{record.announced}"
                try:
                    yield partial(world.rename, pool, name, new_name)
                except Refused as found:
                    if found.actual_name != new_name:
                        continue  # another is further
                after = PoolRecord(record.announced)
            yield partial(world.change_pool, pool, record, after)

    def switch(self, source, target):
        self.move = yield partial(self.world.switch, self.move)

    def switched(self):
        yield from self.name_target()
        yield from self.finish()

    def name_target(self):
        world, target = self.world, self.move.target
        if target.pool or world.operation != self.move.id:
            return
        yield from self.rename(target, [self.move.target_name], world.final_name)

    def finish(self):
        if not (self.move.way_back_of or self.move.without_way_back):
            yield from self.close_tokens()
        yield partial(self.world.finish, self.move)

    def shadow(self):
        world, move = self.world, self.move
        follower = Follower(world, move.source, move.position)
        try:
            yield from follower.pump()
            yield from self.apply(follower)
            yield from self.store(follower)
        except StreamLost:
            return (yield from self.give_up("lost"))
        if move.abort_wanted:
            return (yield from self.give_up("ended"))
        if move.switch_wanted:
            yield partial(world.intend_fence, self.move)
        return None

    def give_up(self, outcome):
        yield partial(self.world.update, self.move, state=MoveState.ENDING, outcome=outcome)

    def ending(self):
        place = self.move.unwanted
        if not self.closed:
            yield from self.remove(place)
        yield from self.close_tokens()
        yield partial(self.world.update, self.move, state=MoveState.DONE)

    def remove(self, place):
        world = self.world
        if place.pool:
            return (yield from self.empty(place))
        if place.uuid is None:
            uuid = yield partial(world.uuid_of, place.side, self.move.target_name)
            place = replace(place, uuid=uuid)
        yield partial(world.drop, place)
        return None

    def close_tokens(self):
        for place in (self.move.target, self.move.source):
            yield partial(self.world.close_token, self.move, place.side)

    def empty(self, place, beyond=None):
        while (yield partial(self.world.delete_some, self.move, place, beyond)):
            continue

    def apply(self, follower):
        """Bring what is dirty to the target as it is now, however often it was written."""
        if follower.dirty:
            yield from self.apply_ids(self.move.source, self.move.target, follower.dirty)
            follower.dirty = set()

    def apply_ids(self, source, target, ids):
        ids = frozenset(ids)
        documents = yield partial(self.world.read, source, ids)
        yield partial(self.world.apply, self.move, target, ids, documents)

    def store(self, follower, **changes):
        """All up to the position is applied."""
        changes["position"] = follower.position
        self.move = yield partial(self.world.update, self.move, **changes)

    def go_on(self, state, follower):
        yield from self.store(follower, state=state)
