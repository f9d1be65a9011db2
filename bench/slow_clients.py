"""The time of a page while others send slowly."""

import socket
import statistics
from contextlib import ExitStack
from urllib.parse import urlsplit

from bench.environment import Environment
from bench.report import Figure
from bench.scale import Scale
from bench.timing import seconds_of
from bench.visits import OrganizationPage

_HALF_A_REQUEST = (
    b"POST /login HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 500\r\n\r\nemail="
)


def measure(environment: Environment, scale: Scale) -> list[Figure]:
    """An organization's page, alone and beside clients that have sent half of a request."""
    page = OrganizationPage(environment.portal, "Patient")
    page.visit()
    alone = [seconds_of(page.visit) for _ in range(scale.rounds)]
    address = urlsplit(environment.portal.url)
    with ExitStack() as stack:
        for _ in range(scale.slow_clients):
            slow = socket.create_connection((address.hostname, address.port), timeout=30)
            stack.enter_context(slow).sendall(_HALF_A_REQUEST)
        beside = [seconds_of(page.visit) for _ in range(scale.rounds)]
    words = f"beside {scale.slow_clients} slow clients"
    return [
        Figure.in_ms("organization page alone, median", statistics.median(alone)),
        Figure.in_ms(
            f"{words}, median", statistics.median(beside), statistics.median(alone), "alone"
        ),
        Figure.in_ms("organization page alone, worst", max(alone)),
        Figure.in_ms(f"{words}, worst", max(beside), max(alone), "alone"),
    ]
