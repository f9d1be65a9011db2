"""Old secrets that are still accepted, as a list names them."""

from itertools import combinations

from portal.settings.checks import SHORTEST_SECRET_BYTES


def read_old_secrets(listed: str) -> tuple[str, ...]:
    """The secrets that a list, separated by commas, may name.

    A comma may also be part of one, and white space around one may be part of it or not, like the
    line break that files and shells leave at its end. All readings are accepted: one that no secret
    ever was opens nothing, and one that is missing would end sessions without a word.
    """
    parts = listed.split(",")
    runs = [parts[start:end] for start, end in combinations(range(len(parts) + 1), 2)]
    joined = [",".join(run) for run in sorted(runs, key=len)]
    read = [form for each in joined for form in (each, each.strip(), f"{each.strip()}\n")]
    long_enough = (each for each in read if len(each.encode()) >= SHORTEST_SECRET_BYTES)
    return tuple(dict.fromkeys(long_enough))
