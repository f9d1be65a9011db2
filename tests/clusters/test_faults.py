"""Processes that die, sleep and meet on another cluster than the first: what holds there holds here."""

from contextlib import closing

import pytest

from portal.documents.organizations import Strategy
from tests.faults.scenarios import ABROAD
from tests.faults.test_crash_points import (
    check_crash,
    crash_everywhere,
    whole_lives,  # noqa: F401
)
from tests.faults.test_interleavings import interleave
from tests.faults.test_sleepers import (
    MEANWHILE,
    check_all_is_there,
    others_go_on,
    purge,
    rename_away_again,
)
from tests.faults.world import World

EUROPE = "europe"
# One strategy; ``make faults`` tries the others.
DAILY = [f"{name}, collection, {EUROPE}" for name in ("rename", "trash", "restore", "purge")]
RENAME = next(scenario for scenario in ABROAD if scenario.name == DAILY[0])


@pytest.fixture
def world(empty_everything, settings, admin, europe, there):
    """What processes leave behind that die with organizations there."""
    with closing(World(empty_everything, settings, admin, {EUROPE: there})) as world:
        yield world


@pytest.mark.attack("F1")
@pytest.mark.parametrize(
    "scenario",
    [
        pytest.param(scenario, marks=() if scenario.name in DAILY else pytest.mark.full)
        for scenario in ABROAD
    ],
    ids=str,
)
def test_a_crash_at_any_step_leaves_nothing_half(world, whole_lives, scenario):  # noqa: F811
    life, before, after = whole_lives(scenario)
    for point in life.steps or life.points:
        check_crash(world, scenario, [point], before, after)


@pytest.mark.attack("F1")
@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("scenario", ABROAD, ids=str)
def test_crashes_at_any_command_however_often_leave_nothing_half(
    world,
    whole_lives,  # noqa: F811
    scenario,
    figure,
):
    crash_everywhere(world, scenario, *whole_lives(scenario), figure)


@pytest.mark.attack("F1")
@pytest.mark.parametrize(
    "meanwhile",
    [
        pytest.param(deed, marks=() if deed is rename_away_again else pytest.mark.full)
        for deed in (rename_away_again, purge)
    ],
)
def test_a_rename_that_comes_late_breaks_nothing(world, meanwhile):
    world.begin(RENAME)
    with world.asleep(RENAME, "renameCollection to be sent #1"):
        others_go_on(world, meanwhile)
    check_all_is_there(world, RENAME)


@pytest.mark.attack("F1")
@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("scenario", ABROAD, ids=str)
def test_whenever_a_process_falls_asleep_it_breaks_nothing(world, scenario, figure):
    world.begin(scenario)
    points = [point for point in world.live(scenario).points if "answered" not in point]
    for point in points:
        for go_on in MEANWHILE:
            try:
                world.begin(scenario)
                with world.asleep(scenario, point):
                    others_go_on(world, go_on)
                check_all_is_there(world, scenario)
            except Exception as error:
                error.add_note(f"{scenario}: asleep at {point}, others {go_on.__name__}")
                raise
    figure(f"asleep at {len(points)} points, while others did {len(MEANWHILE)} things, 0 broken")


@pytest.mark.attack("N2")
@pytest.mark.full
@pytest.mark.timeout(1800)
def test_what_is_done_at_once_comes_out_as_if_done_in_turn(
    empty_everything, admin, europe, there, figure
):
    here = {"cluster": EUROPE, "there": there}
    interleave(empty_everything, admin, figure, tuple(Strategy), examples=50, steps=20, **here)
