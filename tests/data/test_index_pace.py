"""The time that a build will take still, by how fast it went."""

import pytest

from portal.data.indexes.pace import Pace, Progress

READING, WRITING = "Reading the documents", "Writing the keys"


def paced(*seen):
    pace = Pace()
    for step, done, at in seen:
        pace.see(Progress(step, done, 1000), at)
    return pace


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        ([(READING, 100, 5.0)], None),
        ([(READING, 100, 5.0), (READING, 200, 7.0)], None),
        ([(READING, 100, 5.0), (READING, 100, 60.0)], None),
        ([(READING, 100, 5.0), (READING, 200, 25.0)], "about 3 minutes left of that"),
        ([(READING, 100, 5.0), (READING, 900, 25.0)], "less than a minute left of that"),
        ([(READING, 0, 0.0), (READING, 999, 90.0), (WRITING, 10, 91.0)], None),
        ([(READING, 0, 0.0), (WRITING, 0, 10.0), (WRITING, 250, 30.0)], "about 1 minute left of that"),
    ],
    ids=["seen once", "too short", "standing", "minutes", "soon", "a new step", "of this step"],
)  # fmt: skip
def test_the_time_left_is_that_of_the_step_at_its_own_pace(seen, words):
    assert paced(*seen).words == words


def test_the_share_is_that_of_the_step():
    assert Progress(READING, 999, 1000).percent == 99
