"""The cost of a sign-up beside the least that it could be."""

from itertools import count
from unittest.mock import patch

from bson import ObjectId

from bench.environment import Environment
from bench.report import Figure
from bench.scale import Scale
from bench.timing import interleaved_medians, seconds_of, timed
from portal.identity.authentication import passwords
from portal.organizations import signing_up
from tests.factories import a_context

_FLOOR_DB = "bench_floor"
_COLLECTIONS = ("a", "b", "c")


def measure(environment: Environment, scale: Scale) -> list[Figure]:
    """Sign-up's service, with the password's hash made before, beside three inserts in a
    transaction and one collection made."""
    client = environment.client
    floor_db = client[_FLOOR_DB]
    for name in _COLLECTIONS:
        floor_db.create_collection(name)
    numbers = count()

    def floor(n: int) -> None:
        with client.start_session() as session:
            session.with_transaction(
                lambda s: [floor_db[name].insert_one({"n": n}, session=s) for name in _COLLECTIONS]
            )
        floor_db.create_collection(f"new_{ObjectId()}")

    def sign_up() -> None:
        n = next(numbers)
        signing_up.sign_up(
            f"Org {n}", f"p{n}@acme.example", f"hawk over estuary {n}!", a_context(), "x"
        )

    def sign_up_without_estimate(n: int) -> float:
        with patch.object(passwords, "check_password", lambda *_: None):
            return seconds_of(sign_up)

    hashed = passwords.hash_password("x")
    try:
        with patch.object(passwords, "hash_password", lambda password: hashed):
            base, whole, written = interleaved_medians(
                scale.rounds, timed(floor), timed(lambda n: sign_up()), sign_up_without_estimate
            )
    finally:
        client.drop_database(_FLOOR_DB)
    return [
        Figure.in_ms("floor: transaction of three inserts, create", base),
        Figure.in_ms("sign-up without the hash", whole, base, "floor"),
        Figure.in_ms("… without zxcvbn too", written, base, "floor"),
    ]
