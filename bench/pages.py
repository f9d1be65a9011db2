"""The costs of pages."""

from collections.abc import Callable

from bench.environment import Environment
from bench.report import Figure
from bench.scale import Scale
from bench.timing import seconds_of
from bench.usage import cpu_seconds, worker_of
from bench.visits import OrganizationPage, Program

_BELOW = (
    "activity", "members", "invitations", "keys", "keys/new", "settings", "second-factor",
    "rename", "delete",
)  # fmt: skip
_OTHERS = (
    "/organizations", "/organizations/new", "/trash", "/account", "/account/security",
    "/account/sessions", "/account/invitations", "/docs",
)  # fmt: skip


def measure(environment: Environment, scale: Scale) -> list[Figure]:
    """An organization's page, asked for by one client again and again; then every other page."""
    visits = 5 * scale.rounds
    page = OrganizationPage(environment.portal, "Pages")
    page.visit()
    worker = worker_of(environment.portal)
    before = cpu_seconds(worker)
    wall = seconds_of(lambda: page.visit(visits))
    cpu = cpu_seconds(worker) - before

    def cpu_of(visit: Callable[[int], None]) -> float:
        visit(2)
        before = cpu_seconds(worker)
        visit(scale.rounds)
        return (cpu_seconds(worker) - before) / scale.rounds

    program = Program(environment.portal, page.email)
    others = {
        **{
            f"{page.path}/{name}": lambda n, name=name: page.visit(n, f"/{name}") for name in _BELOW
        },
        **{path: lambda n, path=path: page.see(path, n) for path in _OTHERS},
        "JSON read": lambda n: program.get("/org/pages", n),
        "a token's check": lambda n: program.get("/auth/check", n),
    }
    return [
        Figure.in_ms("organization page, CPU of the worker", cpu / visits),
        Figure.in_ms("organization page, wall, one client", wall / visits),
        *(Figure.in_ms(f"{name}, CPU", cpu_of(visit)) for name, visit in others.items()),
    ]
