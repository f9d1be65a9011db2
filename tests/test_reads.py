"""Reads beside changes: every page, JSON read, file and examination is right, or says what is going
on, at every moment of every operation."""

import re
import threading
import time
from contextlib import contextmanager
from itertools import cycle

import pytest
from bson import ObjectId

from portal import clock
from portal.doctor.examination import CHECKS, examine
from portal.documents.credentials import Credential
from portal.documents.memberships import Membership, Role
from portal.organizations.api_keys import managing as keys
from portal.organizations.lifecycle.renaming import rename_organization, restore_organization
from portal.organizations.lifecycle.trashing import purge_organization, trash_organization
from portal.organizations.members import managing as members
from portal.organizations.storage import tenant_of
from tests.factories import (
    a_context,
    a_credential,
    a_key,
    a_member,
    a_passkey,
    a_session,
    an_access,
    an_account,
    an_invitation,
    an_organization,
    fresh,
)
from tests.program import Program
from tests.test_routes import API, NOBODY, ROLES_AND_NONE, ROUTES, email_of
from tests.visitor import Visitor

READS = [route for route in ROUTES if route.startswith("GET ")]
WITH_FIGURES = ("GET /organizations/<slug>", "GET /org/<name:name>")
SLUGS = ("acme-corp", "acme-two", "delta", "bravo", "charlie")
# The names that each organization has by turns: two of them have one slug.
NAMES = {
    "acme": ("Acme Corp", "Acme Two"),
    "delta": ("ACME CORP", "Delta"),
    "bravo": ("Bravo",),
    "charlie": ("Charlie",),
}
WHOSE = {name: whose for whose, names in NAMES.items() for name in names}
DOCUMENTS = {"acme": 3, "delta": 4, "bravo": 2, "charlie": 1}


class World:
    """Organizations that change all the time, with a member in each role."""

    def __init__(self):
        self.owner = an_account(email_of(Role.OWNER))
        self.accounts = {Role.OWNER: self.owner}
        self.acme = self._an_organization("acme")
        for role in (Role.VIEWER, Role.ADMIN):
            self.accounts[role] = a_member(self.acme, role, email_of(role))
        an_account(email_of("stranger"))
        self.delta, self.bravo = self._an_organization("delta"), self._an_organization("bravo")
        for organization in (self.delta, self.bravo):
            self._add_members(organization)
        self.key = a_key(self.acme, Role.ADMIN)
        a_credential(self.acme)
        guest = a_member(self.acme, Role.VIEWER, "guest@acme.example")
        admin = self.accounts[Role.ADMIN]
        self.ids = {
            "<account_id>": guest.id,
            "<invitation_id>": an_invitation(self.acme, admin, "new@acme.example").id,
            "<key_id>": keys.keys_of(self.acme)[0].id,
            "<credential_id>": Credential.objects.get().id,
            "<passkey_id>": a_passkey(self.owner).id,
            "<public_id>": a_session(email_of(Role.OWNER)).public_id,
            "<token>": "x",
        }
        self.purged = self.bravo.id

    def context(self):
        return a_context(self.owner)

    def rename_and_claim(self):
        """Two take each other's slugs by turns."""
        for organization, name in (
            (self.acme, "Acme Corp"),
            (self.acme, "Acme Two"),
            (self.delta, "ACME CORP"),
            (self.delta, "Delta"),
        ):
            rename_organization(fresh(organization), name, self.context())

    def trash_and_restore(self):
        trashed = trash_organization(fresh(self.bravo), None, self.context())
        restore_organization(trashed, None, self.context())

    def create_and_purge(self):
        charlie = self._an_organization("charlie")
        self.purged = charlie.id
        self._add_members(charlie)
        purge_organization(trash_organization(charlie, None, self.context()), None, self.context())

    def change_members(self):
        viewer = self.accounts[Role.VIEWER].id
        for role in (Role.ADMIN, Role.VIEWER):
            members.change_role(an_access(fresh(self.acme)), viewer, role, self.context())
        guest = a_member(self.acme, Role.VIEWER, f"{ObjectId()}@acme.example")
        members.remove_member(an_access(fresh(self.acme)), guest.id, self.context())

    def fill(self, rule, slug, trashed):
        address = rule.replace("<slug>", slug).replace("<name:name>", slug)
        for name, value in {**self.ids, "<organization_id>": trashed}.items():
            address = address.replace(name, str(value))
        return address

    def _an_organization(self, whose):
        organization = an_organization(NAMES[whose][-1], self.owner)
        tenant_of(organization).insert_many({"of": f"of {whose}"} for _ in range(DOCUMENTS[whose]))
        return organization

    def _add_members(self, organization):
        for role in (Role.VIEWER, Role.ADMIN):
            there = {"organization": organization.id, "account": self.accounts[role].id}
            Membership(**there, role=role, since=clock.now()).save()


class Readers:
    """Whoever may look: each role by a browser and by a program, and a key."""

    def __init__(self, app, world):
        self.visitors = {role: Visitor(app) for role in ROLES_AND_NONE}
        self.programs = {role: Program(app) for role in ROLES_AND_NONE}
        for role in ROLES_AND_NONE:
            if role != NOBODY:
                assert self.visitors[role].log_in(email_of(role)).status == 303
                self.programs[role].log_in(email_of(role))
        self.programs["key"] = Program(app, world.key)

    def asking(self, route):
        """All of those who may ask for it, as functions."""
        if route in API:
            return [program.get for program in self.programs.values()]
        return [visitor.client.get for visitor in self.visitors.values()]


@contextmanager
def again_and_again(*works):
    """Each of them in a thread of its own, until the end; then all have worked several times."""
    ended, errors, rounds = threading.Event(), [], dict.fromkeys(works, 0)

    def repeat(work):
        try:
            while not ended.is_set():
                work()
                rounds[work] += 1
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=repeat, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield errors
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert not errors
    assert min(rounds.values()) > 1


def check(answer, asked):
    """It is no failure, and what it shows of a collection is that of the organization it is of."""
    text = answer.get_data(as_text=True)
    assert answer.status_code < 500, f"{asked}: {answer.status_code} {text[-1500:]}"
    if answer.status_code != 200:
        return
    if answer.is_json and "documents" in answer.json.get("organization", {}):
        organization = answer.json["organization"]
        possible = (None, *documents_of(WHOSE[organization["organization_name"]]))
        assert organization["documents"] in possible, f"{asked}: {answer.json}"
    heading = re.search(r"<h1>([^<]*)</h1>", text)
    if heading and (whose := WHOSE.get(heading[1])):
        assert set(re.findall(r"of (acme|bravo|charlie|delta)\b", text)) <= {whose}, asked
        assert "Somebody" not in text, asked
        for shown in re.findall(r"<dt>Documents</dt>\s*<dd[^>]*>\s*(\d+)", text):
            assert int(shown) in documents_of(whose), asked


def documents_of(whose):
    """How many an organization may have: the one that comes and goes begins with none."""
    return (0, DOCUMENTS[whose]) if whose == "charlie" else (DOCUMENTS[whose],)


def examine_all():
    found = [each.finding for check in CHECKS for each in examine(check, repair=False)]
    assert [each for each in found if not each.kind.harmless] == []


def read_beside_changes(app, seconds, least):
    world = World()
    readers = Readers(app, world)
    slugs = cycle(SLUGS)
    asked = 0
    with again_and_again(
        world.rename_and_claim,
        world.trash_and_restore,
        world.create_and_purge,
        world.change_members,
        examine_all,
    ) as errors:
        until = time.monotonic() + seconds
        for route in cycle(READS):
            figures = [(each, ask) for each in WITH_FIGURES for ask in readers.asking(each)[2:]]
            asking = [
                *((route, ask) for ask in readers.asking(route)),
                figures[asked % len(figures)],
            ]
            for each, ask in asking:
                trashed = (world.bravo.id, world.purged)[asked % 2]
                address = world.fill(each.removeprefix("GET "), next(slugs), trashed)
                check(ask(address), address)
                asked += 1
            if errors or (time.monotonic() > until and asked > least):
                break
    return asked


@pytest.mark.slow
def test_whatever_is_read_beside_changes_is_right(app):
    read_beside_changes(app, seconds=5, least=100)


@pytest.mark.full
def test_whatever_is_read_for_long_beside_changes_is_right(app):
    read_beside_changes(app, seconds=90, least=1000)
