"""Leases by the server's clock."""

from typing import Any


def seconds_from_now(seconds: int) -> dict[str, Any]:
    """So many seconds from now by the server's clock, for the pipeline of an update."""
    return {"$dateAdd": {"startDate": "$$NOW", "unit": "second", "amount": seconds}}
