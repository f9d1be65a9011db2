"""Many at once, over two workers: one wins, everybody gets an answer, nothing is left over."""

import pytest

from tests.processes import Person, at_once, portal
from tests.visitor import PASSWORD

ONE_NAME = ["Acme Corp"] * 16
SPELLINGS = [
    "acme corp", "Acme Corp", "ACME CORP", "acme_corp", "acme-corp", "Acme  Corp", "acme.corp", "acme/corp",
    "Àcme Còrp", "Ａｃｍｅ Ｃｏｒｐ", "acme+corp", "(acme) corp", "acme: corp!", "#acme corp", "acme, corp", "Acme & Corp",
]  # fmt: skip


def a_sign_up(person, token, name, n):
    fields = {"organization_name": name, "email": f"person{n}@acme.example", "password": PASSWORD}
    return lambda: person.send("/signup", token, **fields).status_code


@pytest.mark.parametrize("names", [ONE_NAME, SPELLINGS], ids=["one name", "16 spellings"])
def test_16_sign_ups_for_one_slug_leave_one_organization(server, databases, check_whole, names):
    """Row N2 of the attacks."""
    with portal(server, databases) as running:
        people = [Person(running.url) for _ in names]
        tokens = [person.token("/signup") for person in people]
        rows = zip(people, tokens, names, range(16), strict=True)
        answers = at_once([a_sign_up(*row) for row in rows])
        assert sorted(answers) == [303] + [409] * 15
        [organization] = check_whole()
        assert organization["slug"] == "acme-corp"
        winner = people[answers.index(303)]
        assert winner.get("/organizations/acme-corp").status_code == 200


def test_the_very_first_requests_on_a_fresh_database_leave_one_organization(
    server, databases, check_whole, bare_client
):
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


def test_16_sign_ups_with_one_address_leave_one_account(server, databases, check_whole):
    with portal(server, databases) as running:
        people = [Person(running.url) for _ in range(16)]
        tokens = [person.token("/signup") for person in people]

        def a_try(person, token, n):
            fields = {
                "organization_name": f"Org {n}",
                "email": "mara@acme.example",
                "password": PASSWORD,
            }
            return lambda: person.send("/signup", token, **fields).status_code

        answers = at_once(
            [a_try(p, t, n) for n, (p, t) in enumerate(zip(people, tokens, strict=True))]
        )
        assert sorted(answers) == [303] + [409] * 15
        assert len(check_whole()) == 1


def test_renames_onto_one_name_and_a_sign_up_for_it_leave_one_holder(
    server, databases, check_whole
):
    """Row N2 of the attacks: a sign-up racing renames onto its name."""
    with portal(server, databases) as running:
        owners = [Person(running.url) for _ in range(8)]
        for n, owner in enumerate(owners):
            assert owner.sign_up(f"Org {n}", f"owner{n}@acme.example").status_code == 303
        strangers = [Person(running.url) for _ in range(8)]

        def a_rename(owner, n):
            token = owner.token(f"/organizations/org-{n}/rename")
            path = f"/organizations/org-{n}/rename"
            return lambda: owner.send(path, token, organization_name="The Name").status_code

        actions = [a_rename(owner, n) for n, owner in enumerate(owners)]
        actions += [
            a_sign_up(s, s.token("/signup"), "The Name", n) for n, s in enumerate(strangers)
        ]
        answers = at_once(actions)
        assert sorted(answers) == [303] + [409] * 15
        holders = [o["slug"] for o in check_whole() if o["name"] == "The Name"]
        assert holders == ["the-name"]


def test_many_renames_of_one_organization_at_once_leave_it_whole(server, databases, check_whole):
    with portal(server, databases) as running:
        owner = Person(running.url)
        owner.sign_up("Acme Corp")
        token = owner.token("/organizations/acme-corp/rename")

        def a_rename(n):
            fields = {"organization_name": f"Name {n}"}
            return lambda: (
                owner.send("/organizations/acme-corp/rename", token, **fields).status_code
            )

        answers = at_once([a_rename(n) for n in range(8)])
        assert answers.count(303) == 1
        assert set(answers) <= {303, 409}
        [organization] = check_whole()
        assert organization["slug"].startswith("name-")
