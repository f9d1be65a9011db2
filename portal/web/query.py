"""Query arguments with the position in a paginated list."""

import re

from flask import request


def sort_key_argument(name: str, pattern: re.Pattern[str]) -> str | None:
    """The sort key of a row; ``None`` for anything that can't be one."""
    value = request.args.get(name, "")
    return value if pattern.fullmatch(value) else None


def number_argument(name: str, highest: int) -> int | None:
    """A number from 0 to ``highest``; ``None`` for anything else."""
    value = request.args.get(name, type=int)
    return value if value is not None and 0 <= value <= highest else None
