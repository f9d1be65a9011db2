"""The operator gives an organization an owner, where nobody in it can."""

import pytest

from portal.audit.trail import ListedEvent
from portal.documents.accounts import Account
from portal.documents.audit import AuditEvent
from portal.documents.memberships import Membership, Role
from portal.organizations.lifecycle.trashing import trash_organization
from portal.organizations.members import ownership
from tests.accounts.letters import Letters
from tests.factories import a_context, an_access, an_account, fresh
from tests.members.conftest import LENA, MARA
from tests.processes import at_once

SUBJECT = f"{LENA} is an owner of Acme Corp"


def set_owner(app, slug="acme-corp", address=LENA):
    return app.test_cli_runner().invoke(args=["organizations", "set-owner", slug, address])


def role_of(email):
    found = Membership.objects(account=Account.objects.get(email=email).id).first()
    return found and found.role


@pytest.mark.parametrize("before", [None, Role.VIEWER, Role.ADMIN])
def test_an_organization_whose_owners_are_gone_gets_one(app, acme, join, enter, before):
    join(LENA, before) if before else an_account(LENA)
    Membership.objects(role=Role.OWNER).delete()
    assert "set-owner" in app.test_cli_runner().invoke(args=["doctor"]).output
    done = set_owner(app)
    assert (done.exit_code, done.output) == (
        0, f"{LENA} is an owner of Acme Corp. All owners are told by mail.\n",
    )  # fmt: skip
    assert role_of(LENA) == Role.OWNER
    assert Membership.objects.count() == 1
    assert enter(LENA).get("/organizations/acme-corp/delete").status == 200
    assert app.test_cli_runner().invoke(args=["doctor"]).exit_code == 0


def test_it_is_in_the_trail_as_the_operators_and_told_to_all_owners(app, acme, office, owner):
    an_account(LENA)
    set_owner(app)
    event = AuditEvent.objects(chain=acme.id).order_by("-seq").first()
    listed = ListedEvent.of(event.to_mongo())
    assert (listed.actor_shown, listed.words) == ("the operator", f"Made {LENA} an owner")
    assert "by the operator" in owner.get("/organizations/acme-corp").text
    letters = Letters(app, office)
    assert "made you an owner of Acme Corp" in letters.text(LENA, SUBJECT)
    assert f"made {LENA} an owner of Acme Corp" in letters.text(MARA, SUBJECT)
    assert app.test_cli_runner().invoke(args=["audit", "verify"]).exit_code == 0


def test_an_open_offer_to_the_new_owner_is_over(app, acme, mara, join):
    lena = join(LENA, Role.ADMIN)
    ownership.offer_ownership(an_access(acme), lena.id, True, a_context(mara))
    assert set_owner(app).exit_code == 0
    assert Membership.objects.get(account=lena.id).offer is None
    assert app.test_cli_runner().invoke(args=["doctor"]).exit_code == 0


def test_what_is_in_the_trash_is_named_by_its_id(app, acme, mara, office):
    an_account(LENA)
    trash_organization(acme, "Acme Corp", a_context(mara))
    assert set_owner(app).output == (
        "Error: There is no organization acme-corp. Give the id of one in the trash.\n"
    )
    assert set_owner(app, str(acme.id)).exit_code == 0
    assert role_of(LENA) == Role.OWNER
    assert "/trash" in Letters(app, office).link(LENA, SUBJECT)


def test_what_can_not_be_done_is_told_and_changes_nothing(app, acme):
    an_account(LENA, verified=False)
    head = fresh(acme).audit_head.seq
    for slug, address, words in (
        ("acme-corp", MARA, f"{MARA} is an owner already. Nothing was changed."),
        ("acme-corp", LENA, f"{LENA} is not verified"),
        ("acme-corp", "nobody@acme.example", "No account has the address nobody@acme.example."),
        ("other", MARA, "There is no organization other."),
        ("0" * 24, MARA, "There is no organization 000"),
    ):
        refused = set_owner(app, slug, address)
        assert refused.exit_code == 2
        assert refused.output.startswith(f"Error: {words}")
    assert fresh(acme).audit_head.seq == head


def test_who_is_blocked_is_made_no_owner(app, acme):
    an_account(LENA).update(set__blocked_at=acme.created_at)
    assert set_owner(app).output == (
        f"Error: {LENA} is blocked, so nobody could act by it: unblock the account first\n"
    )
    assert role_of(LENA) is None


def test_of_many_commands_at_once_one_makes_the_owner(app, acme):
    an_account(LENA)
    codes = [done.exit_code for done in at_once([lambda: set_owner(app)] * 4)]
    assert sorted(codes) == [0, 2, 2, 2]
    assert AuditEvent.objects(action="ownership.set").count() == 1
