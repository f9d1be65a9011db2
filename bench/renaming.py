"""The time of a rename by how much an organization has stored, and beside its floor."""

from itertools import count

from bench.environment import TENANT_DB, Environment
from bench.report import Figure
from bench.scale import Scale
from bench.timing import Timed, interleaved_medians, seconds_of, timed
from bench.visits import OrganizationPage, Program
from tests.processes import Person

_FEW = 10
_FLOOR_DB = "bench_rename_floor"


def measure(environment: Environment, scale: Scale) -> list[Figure]:
    """The form's request, from few documents to many; and a program's, beside two transactions
    and a ``renameCollection``."""
    renames = [_renamed_by_http(environment, size) for size in (_FEW, scale.documents)]
    few, many = interleaved_medians(scale.rounds, *renames)
    words = f"{_FEW} documents"
    floor, by_json = interleaved_medians(
        scale.rounds, _floor(environment), _renamed_by_json(environment)
    )
    environment.client.drop_database(_FLOOR_DB)
    return [
        Figure.in_ms(f"rename by HTTP, {words}", few),
        Figure.in_ms(f"rename by HTTP, {scale.documents:,} documents", many, few, words),
        Figure.in_ms("floor: two transactions, renameCollection", floor),
        Figure.in_ms("rename by JSON", by_json, floor, "floor"),
    ]


def _floor(environment: Environment) -> Timed:
    client, numbers = environment.client, count()
    database = client[_FLOOR_DB]
    database.create_collection("org_0")
    database.documents.insert_one({"_id": 1})

    def change() -> None:
        with client.start_session() as session:
            session.with_transaction(
                lambda s: database.documents.update_one({"_id": 1}, {"$inc": {"n": 1}}, session=s)
            )

    def rename(_: int) -> None:
        n = next(numbers)
        change()
        database[f"org_{n}"].rename(f"org_{n + 1}")
        change()

    return timed(rename)


def _renamed_by_json(environment: Environment) -> Timed:
    page = OrganizationPage(environment.portal, "By JSON 0")
    program, numbers = Program(environment.portal, page.email), count()

    def rename(_: int) -> None:
        n = next(numbers)
        body = {"new_organization_name": f"By JSON {n + 1}"}
        program.put(f"/org/update/by-json-{n}", body)

    return timed(rename)


def _renamed_by_http(environment: Environment, size: int) -> Timed:
    person = Person(environment.portal.url)
    assert person.sign_up(f"Size {size}", f"size{size}@acme.example").status_code == 303
    collection = environment.client[TENANT_DB][f"org_size_{size}"]
    collection.insert_many({"_id": n} for n in range(size))
    slug = f"size-{size}"

    def rename(n: int) -> float:
        nonlocal slug
        path = f"/organizations/{slug}/rename"
        token = person.token(path)

        def send() -> None:
            answer = person.send(path, token, organization_name=f"Size {size} {n}")
            assert answer.status_code == 303

        taken = seconds_of(send)
        slug = f"size-{size}-{n}"
        return taken

    return rename
