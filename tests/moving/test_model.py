"""Whatever happens to those who carry a move out, nothing is lost, and it ends: tried on a model,
which goes by the portal's table of states. Mistakes put back in are found."""

import itertools
import random
from collections import Counter
from functools import partial

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from portal.documents.moves import MoveState
from portal.organizations.lifecycle.states import RULES
from tests.moving.model import (
    Actor,
    AnswerLost,
    Away,
    Follower,
    Mover,
    Refused,
    Statement,
    World,
    Writer,
)

IDS = range(4)
DISTURBANCES = "abort", "abort", "rename", "let the fence fail", "go back"
FAULTS = (
    "asleep",
    "mover dies",
    "mover gets no answer",
    "writer gets no answer",
    "cluster away",
    "oplog overrun",
)
KINDS = "inc", "replace", "delete"
SIDES = "here", "there"
# More than any of them needs for what it has begun.
MANY_STEPS = 400
PLACES = {
    "own to own": (False, False),
    "own to pool": (False, True),
    "pool to own": (True, False),
    "pool to pool": (True, True),
}


class Moves(RuleBasedStateMachine):
    """Two movers and two writers; persons; and all that may go wrong."""

    pools: tuple
    mover: type = Mover
    writer: type = Writer
    world_type: type = World
    seen: Counter

    @initialize(
        one_cluster=st.booleans(),
        goes_back=st.booleans(),
        documents=st.sampled_from([(), IDS, IDS]),
    )
    def begin(self, one_cluster, goes_back, documents):
        self.world = self.world_type(dict(zip(SIDES, self.pools, strict=True)), one_cluster)
        self.goes_back = goes_back
        self.numbers = itertools.count(1)
        self.movers = [self._mover(), self._mover()]
        self.stores = [self.writer(self.world), self.writer(self.world)]
        self.writers = [None, None]
        self.person, self.awake = None, 0
        for i in documents:
            self.write(0, "replace", i, MANY_STEPS)

    @rule(seed=st.binary(min_size=8, max_size=8), steps=st.integers(20, 100))
    def work(self, seed, steps):
        """Mostly one mover, while the others sleep, with a command in hand."""
        chance = random.Random(seed)
        self.start(without=chance.random() < 0.2, at_once=chance.random() < 0.8, approved=True)
        for _ in range(steps):
            which = chance.random()
            if which < 0.6:
                self.movers[self.awake].step()
            elif which < 0.63:
                self.movers[not self.awake].step()
            elif which < 0.83:
                self._run(chance.choice(self.writers), 1)
            elif which < 0.96:
                self.write(chance.randrange(2), chance.choice(KINDS), chance.choice(IDS), 0)
            elif which < 0.98:
                self.interrupt(
                    chance.choice(FAULTS[:4]), chance.random() < 0.5, chance.randrange(2)
                )
            else:
                self.disturb(chance.choice(DISTURBANCES))
            move = self.world.open_move()
            if move and move.state == MoveState.FENCED and chance.random() < 0.1:
                chance.choice([self.world.fail_fence, self.fall_asleep])()

    def write(self, which, kind, i, steps):
        current = self.writers[which]
        if current is None or current.ended:
            statement = Statement(next(self.numbers), kind, i)
            current = self.writers[which] = Actor(self.world, self.stores[which].write(statement))
        self._run(current, steps)

    @rule(state=st.sampled_from(MoveState), steps=st.integers(0, 12))
    def let_move(self, state, steps):
        """Until that state, and a little further."""
        self.world.away = set()
        self.start(without=False, at_once=True, approved=state != MoveState.REQUESTED)
        mover = self.movers[self.awake]
        for _ in range(60):
            move = self.world.open_move()
            if move is None or move.state in (state, MoveState.REQUESTED):
                break
            mover.step()
        self._run(mover, steps)

    def start(self, *, without, at_once, approved):
        state = MoveState.COPYING if approved else MoveState.REQUESTED
        self.world.start(without, at_once, state)

    def want_switch(self):
        self.world.approve()
        self.world.want_switch()

    @rule(what=st.sampled_from(DISTURBANCES))
    def disturb(self, what):
        if what == "rename":
            self.world.rename_organization()
        elif what == "let the fence fail":
            self.world.fail_fence()
        elif what == "go back":
            self.want_switch()
        else:  # a person looks first, and then decides
            if self.person is None or self.person.ended:
                self.person = Actor(self.world, self._abort())
            self.person.step()

    def carry_on(self, steps):
        """One mover alone, who goes back if that is wanted; whether it isn't at the end."""
        for _ in range(steps):
            move = self.world.open_move()
            if move is None or (move.state == MoveState.SHADOW and not self.goes_back):
                return False
            self.want_switch()
            self.movers[0].step()
        return True

    def fall_asleep(self):
        """For so long that the other may go on."""
        if move := self.world.open_move():
            move.leased = False
        self.awake = not self.awake

    @rule(what=st.sampled_from(FAULTS), executed=st.booleans(), which=st.integers(0, 1))
    def interrupt(self, what, executed, which):
        cluster = self.world.clusters[SIDES[which]]
        if what == "asleep":
            self.fall_asleep()
        elif what == "mover dies":
            self.movers[self.awake].die(executed)
            self.movers[self.awake] = self._mover()
            self.fall_asleep()
        elif what == "mover gets no answer":
            self.movers[self.awake].lose_answer(executed)
        elif what == "writer gets no answer":
            if self.writers[which]:
                self.writers[which].lose_answer(executed)
        elif what == "cluster away":
            self.world.away ^= {cluster}
        else:
            self.world.overrun(SIDES[which])

    def teardown(self):
        if not hasattr(self, "world"):
            return
        self._give_back_what_target_cannot_take()
        self.world.away = set()
        self._end_all()
        # Then those wake who slept over all of it.
        for actor in [*self.movers, self.person, *self.writers]:
            if actor:
                self._wake(actor)
        self._end_all()
        self.write(0, "inc", 0, MANY_STEPS)
        assert not list(self.world.leftovers()), "left over"
        self.seen.update(self.world.seen)

    def _give_back_what_target_cannot_take(self):
        """A target that is away for good leaves nobody unwritable."""
        move = self.world.open_move()
        if move and move.state == MoveState.FENCED:
            self.world.away = {self.world.clusters[move.target.side]}
            if self.world.clusters[move.source.side] not in self.world.away:
                self._alone(lambda: move.state != MoveState.FENCED)

    def _end_all(self):
        while move := self.world.open_move():
            self.want_switch()
            if move.state == MoveState.SHADOW and not self.goes_back:
                self.world.abort(move)
            self._alone(lambda move=move: not move.open)

    def _alone(self, done):
        """One who has just come carries on what the others have left."""
        mover = self._mover()
        for _ in range(MANY_STEPS):
            if done():
                return
            if mover.step() is None and not self._held_by(mover):
                self.fall_asleep()
        raise AssertionError(f"no end: {self.world.open_move()}")

    @staticmethod
    def _held_by(mover):
        return mover.commands.gi_yieldfrom is not None

    def _wake(self, actor):
        for _ in range(30):
            actor.step()

    def _run(self, actor, steps=MANY_STEPS):
        for _ in range(steps):
            if actor is None or actor.ended:
                break
            actor.step()

    def _mover(self):
        return Actor(self.world, self.mover(self.world).run())

    def _abort(self):
        seen = yield self.world.read_open
        if seen:
            yield partial(self.world.abort, seen)


def explore(places, examples, steps=50, phases=(Phase.generate,), **mistake):
    seen = Counter()
    machine = type("Machine", (Moves,), {"pools": PLACES[places], "seen": seen, **mistake})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            report_multiple_bugs=False,
            derandomize=True,
            phases=phases,
            suppress_health_check=list(HealthCheck),
        ),
    )
    return seen


each = pytest.mark.parametrize("places", PLACES)


@each
def test_a_move_loses_nothing_and_ends(places):
    seen = explore(places, 30)
    assert set(seen) == set(RULES) - {MoveState.DONE}


@pytest.mark.full
@pytest.mark.timeout(1800)
@each
def test_many_moves_lose_nothing_and_end(places):
    explore(places, 3000)


# What becomes of the mover at a point, and whether the command that it has in hand is executed then.
FATES = (None, True), ("asleep", True), ("mover dies", True), ("mover dies", False)
# How far a writer comes there with a statement: it has it in hand, has no answer, or has one.
WRITTEN = "in hand", "no answer", "answered"
STATEMENTS = tuple(itertools.product(KINDS, (min(IDS), max(IDS))))


def sweep(places, *, one_cluster, **mistake):
    """Try each of these at every point of a move and its way back; the number of tries."""
    machine = type("Machine", (Moves,), {"pools": PLACES[places], "seen": Counter(), **mistake})
    tried = 0
    for each in itertools.product((False, True), FATES, WRITTEN, STATEMENTS):
        for point in itertools.count():
            tried += 1
            if not try_at(machine(), point, one_cluster, *each):
                break
    return tried


def try_at(moves, point, one_cluster, goes_back, fate, written, statement):
    """Tell whether anything goes on at that point."""
    moves.begin(one_cluster=one_cluster, goes_back=goes_back, documents=IDS)
    moves.start(without=False, at_once=True, approved=True)
    going_on = moves.carry_on(point)
    moves.write(0, *statement, 20 if written == "answered" else 0)
    if written == "no answer":
        moves.writers[0].lose_answer(executed=True)
    fault, executed = fate
    if fault:
        moves.interrupt(fault, executed, 0)
    else:
        moves.carry_on(MANY_STEPS)
    moves.teardown()
    return going_on


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("one_cluster", [True, False], ids=["one cluster", "two clusters"])
@each
def test_at_no_point_of_a_move_is_anything_lost(places, one_cluster, figure):
    tried = sweep(places, one_cluster=one_cluster)
    figure(f"{tried} tries")


# Mistakes, each of which somebody made: numbers are those of the ways that a prototype failed.


class FencesByLook(Mover):
    """3: what has been seen when the source is fenced is taken for all that was written."""

    def drain(self):
        end = yield partial(self.world.stream_end, self.move.source)
        follower = Follower(self.world, self.move.source, self.move.position)
        yield from follower.reach(end)
        yield from self.fence()
        yield from self.apply(follower)


class NamesFirst(Mover):
    """5: the target gets its final name before the switch."""

    def switch(self, source, target):
        if not target.pool:
            name, final_name = self.move.target_name, f"org_{self.world.slug}"
            yield from self.rename(target, [name], final_name)
        yield from super().switch(source, target)


class TakesReverseTokenLate(Mover):
    """6: the reverse stream begins when writers have begun to write at the new place."""

    def finish(self):
        if not self.move.way_back_of:
            position = yield partial(self.world.stream_end, self.move.target)
            self.move = yield partial(self.world.update, self.move, reverse_position=position)
        yield from super().finish()


class AbortsWithoutLooking(World):
    """8: an abort is no compare-and-set, so it may come after the switch."""

    def abort(self, seen):
        self.moves[seen.id].state = seen.state
        super().abort(seen)


class WritesWithoutToken(World):
    """9: nothing keeps a batch of an earlier attempt from being written."""

    def check_token(self, move, side):
        self._server(side)


class ForgetsTokens(World):
    """The token is deleted at the end, and made again by whoever took over and slept."""

    def close_token(self, move, side):
        self._server(side)
        self.tokens.pop((self.clusters[side], move.id), None)


class NamesFencesAlike(World):
    """A fence that was rolled back has the name of the next one: a rename that comes late gives
    the old copy its name back."""

    def intend_fence(self, move, **changes):
        changed = super().intend_fence(move, **changes)
        self.moves[move.id].fences = changed.fences = 1
        return changed


class ReadsAhead(Mover):
    """A page that was read before changes were applied is written after them."""

    def copy(self, follower):
        page = yield from self.read_page(self.move.copied_to)
        while page:
            ahead = yield from self.read_page(max(page))
            yield from self.insert(page)
            yield from follower.pump(beyond=max(ahead, default=None))
            yield from self.apply(follower)
            yield from self.store(follower, copied_to=max(page))
            page = ahead


class KeepsWhatWasBeyond(Mover):
    """Whoever goes on with a copy leaves what another wrote behind the last stored page, and
    skips what happens there."""

    def empty(self, place, beyond=None):
        if beyond is None:
            yield from super().empty(place)


class StoresTokenFirst(Mover):
    """The stream's token is stored before what it brought is applied."""

    def apply(self, follower):
        yield from self.store(follower)
        yield from super().apply(follower)


class AsksElsewhere(Writer):
    """10: a store whose answer was lost asks at the new place, in another cluster."""

    def send(self, place, name, statement):
        try:
            yield partial(self.world.execute, place, name, statement)
        except (Refused, AnswerLost, Away):
            return False
        return True


QUICK = [
    ("mover", FencesByLook, "own to own"),
    ("mover", NamesFirst, "own to own"),
    ("mover", TakesReverseTokenLate, "own to own"),
    ("world_type", AbortsWithoutLooking, "own to own"),
    ("world_type", WritesWithoutToken, "own to pool"),
    ("world_type", ForgetsTokens, "own to pool"),
    ("mover", StoresTokenFirst, "own to own"),
]
# Rarely found, or found between other places already.
RARE = [
    ("mover", FencesByLook, "pool to own"),
    ("world_type", WritesWithoutToken, "pool to pool"),
    ("world_type", WritesWithoutToken, "own to own"),
    ("world_type", NamesFencesAlike, "own to pool"),
]
# Rarely found by chance, and always where each point is tried.
AT_ONE_POINT = [
    ("mover", ReadsAhead, "pool to own"),
    ("mover", KeepsWhatWasBeyond, "own to own"),
    ("writer", AsksElsewhere, "own to own"),
]


@pytest.mark.parametrize(
    ("part", "mistake", "places"),
    [
        pytest.param(*row, id=f"{row[1].__name__}, {row[2]}", marks=marks)
        for rows, marks in ((QUICK, ()), (RARE, (pytest.mark.full, pytest.mark.timeout(1800))))
        for row in rows
    ],
)
def test_the_model_finds_each_mistake(part, mistake, places):
    with pytest.raises(AssertionError):
        explore(places, 5000, steps=30, **{part: mistake})


@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("part", "mistake", "places"), AT_ONE_POINT, ids=lambda given: getattr(given, "__name__", given)
)
def test_a_mistake_that_shows_at_one_point_is_found_there(part, mistake, places):
    with pytest.raises(AssertionError):
        sweep(places, one_cluster=False, **{part: mistake})
