"""A member with a browser, who looks at the page of their organization."""

from portal.organizations.lifecycle.names import slug_of
from tests.processes import Person, PortalProcess


class OrganizationPage:
    """The page of an organization that is signed up for it."""

    def __init__(self, running: PortalProcess, name: str) -> None:
        slug = slug_of(name)
        self._person = Person(running.url)
        assert self._person.sign_up(name, f"{slug}@acme.example").status_code == 303
        self.path = f"/organizations/{slug}"

    @property
    def cookies(self) -> str:
        """The ``Cookie`` header that the browser sends."""
        return "; ".join(f"{each.name}={each.value}" for each in self._person.session.cookies)

    def visit(self, times: int = 1) -> None:
        """Ask for it, one time after the other."""
        for _ in range(times):
            assert self._person.get(self.path).status_code == 200
