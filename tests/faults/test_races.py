"""Many at once, over two workers: one wins, everybody gets an answer, nothing is left over."""

import secrets
import socket

import pytest
from bson import ObjectId

from tests.factories import collections_in
from tests.processes import Person, at_once, portal, wait_until
from tests.visitor import PASSWORD


@pytest.fixture(scope="module")
def shared(server):
    """A portal with two workers that the tests of this module share."""
    name = f"races_{ObjectId()}"
    with portal(server, name) as running:
        yield name, running


@pytest.fixture
def databases(shared, bare_client):
    """Its databases, emptied; the indexes stay."""
    name, _ = shared
    master = bare_client[f"master_{name}"]
    for collection in collections_in(master):
        master[collection].delete_many({})
    bare_client.drop_database(f"tenant_{name}")
    return name


@pytest.fixture
def running(shared):
    return shared[1]


ONE_NAME = ["Acme Corp"] * 16
SPELLINGS = [
    "acme corp", "Acme Corp", "ACME CORP", "acme_corp", "acme-corp", "Acme  Corp", "acme.corp", "acme/corp",
    "Àcme Còrp", "Ａｃｍｅ Ｃｏｒｐ", "acme+corp", "(acme) corp", "acme: corp!", "#acme corp", "acme, corp", "Acme & Corp",
]  # fmt: skip


def a_sign_up(person, token, name, email):
    """Who is told to try again, as on a machine that stands still, sends the same form again."""
    fields = {"organization_name": name, "email": email, "password": PASSWORD}
    key = secrets.token_urlsafe(16)

    def answered():
        status = person.send("/signup", token, **fields, idempotency_key=key).status_code
        return status != 503 and status

    return lambda: wait_until(answered)


@pytest.mark.attack("N2")
@pytest.mark.parametrize(
    "names",
    [
        pytest.param(ONE_NAME, id="one name", marks=pytest.mark.full),
        pytest.param(SPELLINGS, id="16 spellings"),
    ],
)
def test_16_sign_ups_for_one_slug_leave_one_organization(running, check_whole, names):
    people = [Person(running.url) for _ in names]
    tokens = [person.token("/signup") for person in people]
    emails = [f"person{n}@acme.example" for n in range(16)]
    rows = zip(people, tokens, names, emails, strict=True)
    answers = at_once([a_sign_up(*row) for row in rows])
    assert sorted(answers) == [303] + [409] * 15
    [organization] = check_whole()
    assert organization["slug"] == "acme-corp"
    winner = people[answers.index(303)]
    assert winner.get("/organizations/acme-corp").status_code == 200


@pytest.mark.full
def test_the_very_first_requests_on_a_fresh_database_leave_one_organization(
    server, databases, check_whole, bare_client
):
    bare_client.drop_database(f"master_{databases}")
    with portal(server, databases, wait=False) as running:
        people = [Person(running.url) for _ in ONE_NAME]

        def first_contact(person, n):
            return lambda: person.sign_up("Acme Corp", f"person{n}@acme.example").status_code

        answers = at_once([first_contact(person, n) for n, person in enumerate(people)])
        assert sorted(answers) == [303] + [409] * 15
        [organization] = check_whole()
        assert organization["slug"] == "acme-corp"
        [account] = bare_client[f"master_{databases}"].accounts.find()
        assert account["_id"] == organization["created_by"]


def test_16_sign_ups_with_one_address_leave_one_account(running, check_whole):
    people = [Person(running.url) for _ in range(16)]
    tokens = [person.token("/signup") for person in people]

    names = [f"Org {n}" for n in range(16)]
    rows = zip(people, tokens, names, ["mara@acme.example"] * 16, strict=True)
    answers = at_once([a_sign_up(*row) for row in rows])
    assert sorted(answers) == [303] + [409] * 15
    assert len(check_whole()) == 1


def a_rename(owner, n):
    place = f"/organizations/org-{n}/rename"
    token = owner.token(place)
    return lambda: owner.send(place, token, organization_name="The Name").status_code


def a_restore(owner, n):
    place = f"/organizations/org-{n}/delete"
    assert owner.post(place, confirm_name=f"Org {n}").status_code == 303
    place = owner.page("/trash").select_one("tbody th a")["href"] + "/restore"
    token = owner.token(place)
    return lambda: owner.send(place, token, organization_name="The Name").status_code


@pytest.mark.attack("N2")
@pytest.mark.parametrize(
    "onto_the_name", [a_rename, pytest.param(a_restore, marks=pytest.mark.full)]
)
def test_what_comes_onto_one_name_and_a_sign_up_for_it_leave_one_holder(
    running, check_whole, onto_the_name
):
    """A sign-up racing renames onto its name, and restores."""
    owners = [Person(running.url) for _ in range(8)]
    for n, owner in enumerate(owners):
        assert owner.sign_up(f"Org {n}", f"owner{n}@acme.example").status_code == 303
    strangers = [Person(running.url) for _ in range(8)]
    actions = [onto_the_name(owner, n) for n, owner in enumerate(owners)]
    emails = [f"person{n}@acme.example" for n in range(8)]
    actions += [
        a_sign_up(s, s.token("/signup"), "The Name", e)
        for s, e in zip(strangers, emails, strict=True)
    ]
    answers = at_once(actions)
    assert sorted(answers) == [303] + [409] * 15
    holders = [o["slug"] for o in check_whole() if o["name"] == "The Name"]
    assert holders == ["the-name"]


def test_many_renames_of_one_organization_at_once_leave_it_whole(running, check_whole):
    owner = Person(running.url)
    owner.sign_up("Acme Corp")
    token = owner.token("/organizations/acme-corp/rename")

    def a_rename(n):
        fields = {"organization_name": f"Name {n}"}
        return lambda: owner.send("/organizations/acme-corp/rename", token, **fields).status_code

    answers = at_once([a_rename(n) for n in range(8)])
    assert answers.count(303) == 1
    assert set(answers) <= {303, 409}
    [organization] = check_whole()
    assert organization["slug"].startswith("name-")


def test_a_body_that_breaks_off_is_refused(running, check_whole):
    person = Person(running.url)
    assert person.sign_up("Acme Corp").status_code == 303
    token = person.token("/organizations/new")
    host, port = running.url.removeprefix("http://").split(":")
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in person.session.cookies)
    request = (
        f"POST /organizations/new HTTP/1.1\r\nHost: {host}\r\nCookie: {cookies}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 500\r\n\r\n"
        f"csrf_token={token}&organization_name=Truncated+Na"
    )
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(request.encode())
        connection.shutdown(socket.SHUT_WR)
        answer = connection.makefile("rb").readline()
    assert b" 400 " in answer
    assert len(check_whole()) == 1
