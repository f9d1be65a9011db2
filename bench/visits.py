"""A member with a browser, who looks at the page of their organization."""

from typing import Any

import requests

from portal.organizations.lifecycle.names import slug_of
from tests.processes import Person, PortalProcess
from tests.visitor import PASSWORD


class OrganizationPage:
    """The page of an organization that is signed up for it."""

    def __init__(self, running: PortalProcess, name: str) -> None:
        slug = slug_of(name)
        self.email = f"{slug}@acme.example"
        self._person = Person(running.url)
        assert self._person.sign_up(name, self.email).status_code == 303
        self.path = f"/organizations/{slug}"

    @property
    def cookies(self) -> str:
        """The ``Cookie`` header that the browser sends."""
        return "; ".join(f"{each.name}={each.value}" for each in self._person.session.cookies)

    def visit(self, times: int = 1, below: str = "") -> None:
        """Ask for it, or a page ``below`` it, one time after the other."""
        for _ in range(times):
            assert self._person.get(f"{self.path}{below}").status_code == 200

    def read(self, below: str) -> str:
        """The text of a page ``below`` it."""
        answer = self._person.get(f"{self.path}{below}")
        assert answer.status_code == 200
        return answer.text

    def see(self, path: str, times: int = 1) -> None:
        """Ask for another page, as the same person."""
        for _ in range(times):
            assert self._person.get(path).status_code == 200


class Program:
    """A program with the token of an account."""

    def __init__(self, running: PortalProcess, email: str) -> None:
        self._url, self._session = running.url, requests.Session()
        login = {"email": email, "password": PASSWORD}
        token = self._send("POST", "/admin/login", login)["token"]
        self.authorization = f"Bearer {token}"
        self._session.headers["Authorization"] = self.authorization

    def get(self, path: str, times: int = 1) -> None:
        for _ in range(times):
            self._send("GET", path)

    def put(self, path: str, body: dict[str, str]) -> None:
        self._send("PUT", path, body)

    def _send(self, method: str, path: str, body: dict[str, str] | None = None) -> Any:
        answer = self._session.request(method, self._url + path, json=body, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()
