"""The sizes of measurements."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """The size of a run."""

    rounds: int  # of what takes milliseconds; what is quicker is measured a multiple of it
    repeats: int  # of what takes seconds
    documents: int  # in a large collection
    browsed: int  # in one that is looked at page by page
    listed: int  # organizations in the operators' list
    rebuilt: int  # of them, where it is filled anew
    load_seconds: float
    slow_clients: int


FULL = Scale(
    rounds=100,
    repeats=3,
    documents=100_000,
    browsed=5_000_000,
    listed=1_000_000,
    rebuilt=50_000,
    load_seconds=6,
    slow_clients=200,
)
TINY = Scale(
    rounds=2,
    repeats=1,
    documents=100,
    browsed=150,
    listed=200,
    rebuilt=50,
    load_seconds=0.3,
    slow_clients=5,
)
