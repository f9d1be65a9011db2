"""The cost of a page."""

from bench.environment import Environment
from bench.report import Figure
from bench.scale import Scale
from bench.timing import seconds_of
from bench.usage import cpu_seconds, worker_of
from bench.visits import OrganizationPage


def measure(environment: Environment, scale: Scale) -> list[Figure]:
    """An organization's page, asked for by one client again and again."""
    visits = 5 * scale.rounds
    page = OrganizationPage(environment.portal, "Pages")
    page.visit()
    worker = worker_of(environment.portal)
    before = cpu_seconds(worker)
    wall = seconds_of(lambda: page.visit(visits))
    cpu = cpu_seconds(worker) - before
    return [
        Figure.in_ms("organization page, CPU of the worker", cpu / visits),
        Figure.in_ms("organization page, wall, one client", wall / visits),
    ]
