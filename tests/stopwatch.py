"""Times that a machine which stands still for some seconds doesn't spoil."""

import statistics
import time


def takes_less(seconds, attempt):
    """Tell whether one of three attempts takes less."""
    return any(_passed(time.monotonic, attempt) < seconds for _ in range(3))


def work_seconds(work):
    """The processor time that something takes in this thread, whatever others do meanwhile."""
    return _passed(time.thread_time, work)


def take_as_long(seconds, pairs):
    """Tell whether the first ones of pairs take as long as the second ones, but for a tenth: by
    medians, in one of three rows, whose pairs ``pairs`` makes of the row's number."""
    for row in range(3):
        taken = [(seconds(first), seconds(second)) for first, second in pairs(row)]
        one, other = (statistics.median(column) for column in zip(*taken, strict=True))
        if abs(one - other) < one / 10:
            return True
    return False


def _passed(now, work):
    begun = now()
    work()
    return now() - begun
