"""Arguments of a page's query that say where in a list it begins."""

import re

from flask import request


def key_argument(name: str, pattern: re.Pattern[str]) -> str | None:
    """The key of a row; ``None`` for what can't be one."""
    value = request.args.get(name, "")
    return value if pattern.fullmatch(value) else None


def number_argument(name: str, highest: int) -> int | None:
    """A number from 0 to ``highest``; ``None`` for anything else."""
    value = request.args.get(name, type=int)
    return value if value is not None and 0 <= value <= highest else None
