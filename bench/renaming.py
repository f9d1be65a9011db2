"""The time of a rename by how much an organization has stored."""

from bench.environment import TENANT_DB, Environment
from bench.report import Figure
from bench.scale import Scale
from bench.timing import Timed, interleaved_medians, seconds_of
from tests.processes import Person

_FEW = 10


def measure(environment: Environment, scale: Scale) -> list[Figure]:
    """The form's request, from few documents to many."""
    renames = [_renamed_by_http(environment, size) for size in (_FEW, scale.documents)]
    few, many = interleaved_medians(scale.rounds, *renames)
    words = f"{_FEW} documents"
    return [
        Figure.in_ms(f"rename by HTTP, {words}", few),
        Figure.in_ms(f"rename by HTTP, {scale.documents:,} documents", many, few, words),
    ]


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
