"""Operators ask to see an organization; its owners decide, and end it."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from portal.doctor import support as doctor
from portal.documents.accounts import OperatorRole
from portal.documents.audit import AuditEvent
from portal.documents.memberships import Role
from portal.documents.organizations import Organization
from portal.documents.support import GrantState, SupportGrant
from portal.mail import sender
from portal.organizations.access.errors import Forbidden
from portal.organizations.lifecycle.trashing import purge_organization, trash_organization
from portal.organizations.support import grants, reading
from portal.organizations.support.errors import (
    AlreadyAsked,
    AlreadyDecided,
    DocumentsOutOfReach,
    GrantNotFound,
    InvalidHours,
    ReasonMissing,
    ReasonTooLong,
    ReasonUnprintable,
)
from portal.web.context import OPERATOR, RequestContext
from tests.accounts.letters import Letters
from tests.factories import (
    a_context,
    a_member,
    an_access,
    an_organization,
    fresh,
    the_owner,
    verify,
)
from tests.mail.post_office import text_of
from tests.operators.support.conftest import end
from tests.visitor import Visitor

COMMAND = RequestContext(OPERATOR)


def ask(organization, context=COMMAND, **chosen):
    asked = {"reason": "Import stops", "hours": 4, "with_documents": True, **chosen}
    return grants.ask(
        organization.id,
        asked["reason"],
        asked["hours"],
        context,
        with_documents=asked["with_documents"],
    )


def acme_corp():
    return Organization.objects.get(slug="acme-corp")


@pytest.fixture
def owner(app):
    """The owner of Acme Corp at a browser."""
    owner = Visitor(app)
    owner.sign_up()
    verify()
    return owner


def test_an_owner_decides_on_what_an_operator_asks(app, desk, owner, office):
    there = f"/operator/organizations/{acme_corp().id}/support"
    asked = desk.post(f"{there}/ask", {"reason": "Import stops", "documents": "with", "hours": "8"})
    assert asked.location == there
    sender.send_due_mails(app)
    [mail] = [one for one in office.messages if "asks to see" in one["Subject"]]
    assert "Import stops" in text_of(mail, "plain")
    [grant] = SupportGrant.objects
    given = owner.post(
        f"/organizations/acme-corp/support/{grant.id}", {"documents": "without", "hours": "1"}
    )
    assert given.location == "/organizations/acme-corp/support"
    grant.reload()
    assert (grant.state, grant.with_documents, grant.hours) == (GrantState.GRANTED, False, 1)
    seen = owner.get("/organizations/acme-corp").text
    assert "An operator of the portal may look at this organization." in seen
    sender.send_due_mails(app)
    assert any("Your request to see" in one["Subject"] for one in office.messages)
    assert "Look…" in desk.get(there).text


def test_owners_read_that_looking_may_begin_and_where_to_end_it(app, desk, owner, given, office):
    letters, acme = Letters(app, office), acme_corp()
    other = a_member(acme, Role.OWNER, "teo@acme.example")
    verify(other.email)
    viewer = a_member(acme, Role.VIEWER, "vera@acme.example")
    verify(viewer.email)
    grant = given(acme, hours=8)
    subject = "The operator may see Acme Corp"
    for address in ("mara@acme.example", other.email):
        text = letters.text(address, subject)
        assert text.startswith("mara@acme.example lets an operator of this portal look at Acme")
        assert f"until {grant.ends_at:%-d %B %Y, %H:%M} UTC, with its documents." in text
        assert "The reason: “Import stops”" in text
        assert letters.link(address, subject) == "/organizations/acme-corp/support"
    assert subject not in letters.to(viewer.email)
    there = owner.get(letters.link("mara@acme.example", subject))
    assert there.html.select_one(f"a[href$='/support/{grant.id}/end']")


def test_a_mail_about_a_grant_that_is_over_is_not_sent(app, owner, given, office):
    acme = acme_corp()
    end(acme, given(acme))
    assert "The operator may see Acme Corp" not in Letters(app, office).to("mara@acme.example")


def test_who_has_asked_is_led_to_the_question(desk, acme):
    there = f"/operator/organizations/{acme.id}/support"
    assert desk.get(f"{there}/ask").status == 200
    desk.post(f"{there}/ask", {"reason": "Import stops", "documents": "without", "hours": "4"})
    assert desk.get(f"{there}/ask").location == there


def test_hours_that_are_not_offered_give_no_more_than_was_asked_for(owner):
    grant = ask(acme_corp(), hours=5)
    page = owner.get(f"/organizations/acme-corp/support/{grant.id}")
    assert page.html.select_one("[name=hours] [selected], [name=hours][checked]")["value"] == "4"


def test_an_owner_declines_and_nothing_is_shown(desk, owner):
    there = f"/operator/organizations/{acme_corp().id}/support"
    desk.post(f"{there}/ask", {"reason": "Import stops", "documents": "with", "hours": "8"})
    [grant] = SupportGrant.objects
    assert owner.post(f"/organizations/acme-corp/support/{grant.id}/decline").status == 303
    assert desk.get(f"{there}/{grant.id}/enter").status == 409
    assert acme_corp().support_until is None


def test_an_owner_ends_it_on_a_page(desk, owner, given):
    grant = given(acme_corp())
    ended = owner.post(f"/organizations/acme-corp/support/{grant.id}/end")
    assert ended.location == "/organizations/acme-corp/support"
    assert "may look at this organization" not in owner.get("/organizations/acme-corp").text


def test_another_operator_does_not_act_by_what_one_asked_for(desk, desk_of, acme):
    there = f"/operator/organizations/{acme.id}/support"
    desk.post(f"{there}/ask", {"reason": "Import stops", "documents": "with", "hours": "8"})
    [grant] = SupportGrant.objects
    context = a_context(the_owner(acme))
    grants.grant_asked(an_access(acme), grant.id, 4, context, with_documents=True)
    other = desk_of(OperatorRole.SUPPORT, "other@portal.example")
    assert other.get(f"{there}/{grant.id}/enter").status == 404
    assert desk.get(f"{there}/{grant.id}/enter").status == 200


@pytest.mark.parametrize(
    ("chosen", "refused"),
    [
        ({"reason": " \n "}, ReasonMissing),
        ({"reason": "x" * 501}, ReasonTooLong),
        ({"reason": "a\u202eb"}, ReasonUnprintable),
        ({"hours": 0}, InvalidHours),
        ({"hours": 73}, InvalidHours),
    ],
)
def test_what_is_asked_for_has_a_reason_and_an_end(acme, chosen, refused):
    with pytest.raises(refused):
        ask(acme, **chosen)
    assert not SupportGrant.objects


def test_a_reason_has_joiners_where_writing_has_them(acme):
    assert ask(acme, reason="👩‍💻  می‌شود").reason == "👩‍💻 می‌شود"


def test_documents_that_nobody_could_read_are_neither_asked_for_nor_given(desk, acme, monkeypatch):
    monkeypatch.setattr(reading, "missing_rights", lambda _: ["createUser"])
    answer = desk.post(
        f"/operator/organizations/{acme.id}/support/ask",
        {"reason": "Import stops", "documents": "with", "hours": "4"},
    )
    assert answer.status == 409
    assert "doesn’t allow the portal createUser" in answer.fault("documents")
    access, context = an_access(acme), a_context(the_owner(acme))
    asked = ask(acme, with_documents=False)
    for give in (
        lambda: grants.give(access, 4, context, with_documents=True, reason="Help"),
        lambda: grants.grant_asked(access, asked.id, 4, context, with_documents=True),
    ):
        with pytest.raises(DocumentsOutOfReach):
            give()
    granted = grants.grant_asked(access, asked.id, 4, context, with_documents=False)
    assert not granted.with_documents


def test_one_question_at_a_time(acme):
    ask(acme)
    with pytest.raises(AlreadyAsked):
        ask(acme)


def test_who_is_no_owner_gives_nothing(acme):
    admin = a_member(acme, Role.ADMIN)
    with pytest.raises(Forbidden):
        grants.give(an_access(acme), 4, a_context(admin), with_documents=False, reason="Help")


def test_of_two_who_decide_at_once_one_is_told_what_the_other_did(acme):
    grant = ask(acme)
    access, context = an_access(acme), a_context(the_owner(acme))

    def decided(decide):
        try:
            return decide()
        except AlreadyDecided as error:
            return error

    with ThreadPoolExecutor(2) as pool:
        said = list(
            pool.map(
                decided,
                [
                    lambda: grants.decline(access, grant.id, context),
                    lambda: grants.grant_asked(access, grant.id, 4, context, with_documents=True),
                ],
            )
        )
    [refused] = [one for one in said if isinstance(one, AlreadyDecided)]
    assert refused.state == SupportGrant.objects.get(id=grant.id).state


def test_a_grant_of_another_organization_is_none(acme):
    grant = ask(acme)
    with pytest.raises(GrantNotFound):
        grants.give_back(an_organization("Borealis").id, grant.id, COMMAND)


def test_everything_is_in_the_customers_trail(acme):
    grant = ask(acme)
    context = a_context(the_owner(acme))
    grants.grant_asked(an_access(acme), grant.id, 4, context, with_documents=True)
    grants.give_back(acme.id, grant.id, COMMAND)
    trail = AuditEvent.objects(chain=acme.id, target=grant.id).order_by("seq")
    assert [(event.action, event.actor_name) for event in trail] == [
        ("support.asked", "the operator"),
        ("support.granted", None),
        ("support.ended", "the operator"),
    ]


def test_users_go_with_the_organization(desk, planted, looking, tenant_db):
    looking(planted)
    context = a_context(the_owner(planted))
    trash_organization(fresh(planted), None, context)
    assert desk.get("/organizations/acme-corp").status == 404
    purge_organization(fresh(planted), None, context)
    assert [
        u for u in tenant_db.command("usersInfo")["users"] if u["user"].startswith("support")
    ] == []
    assert not SupportGrant.objects


def test_the_doctor_finds_a_user_that_no_grant_records(planted, looking, tenant_db):
    looking(planted)
    assert list(doctor.find_unrecorded()) == []
    SupportGrant.objects.update(users=[])
    [finding] = doctor.find_unrecorded()
    assert finding.repair() == "dropped"
    assert list(doctor.find_unrecorded()) == []


def test_a_command_asks_lists_and_ends(acme, command):
    asked = command("support", "ask", "acme-corp", "--reason", "Import stops", "--json")
    assert asked.returncode == 0, asked.stderr
    grant = json.loads(asked.stdout)
    assert (grant["state"], grant["with_documents"]) == ("asked", False)
    assert "Import stops" in command("support", "list", "acme-corp").stdout
    ended = command("support", "end", "acme-corp", grant["id"])
    assert "withdrawn" in ended.stdout
