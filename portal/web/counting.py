"""Numbers of things in words."""


def counted(number: int, thing: str) -> str:
    """The number with the ``thing``, whose plural is in -s: “1 organization”, “1,200
    organizations”."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
