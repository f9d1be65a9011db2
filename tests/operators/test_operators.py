"""The operators themselves, and the ways into their console."""

import re
from datetime import timedelta
from functools import partial

import pytest

from portal import clock, settings
from portal.audit.trail import events_of
from portal.documents.accounts import Account, OperatorRole
from portal.documents.installation import INSTALLATION
from portal.documents.mails import Mail
from portal.documents.operator_links import OperatorLink
from portal.errors import PortalError
from portal.identity.accounts.closing import close_account
from portal.operators import entering, keys, roles
from portal.operators.errors import (
    LastOperatorAdmin,
    LinkForAnotherAddress,
    NoSuchAccount,
    OperatorLinkInvalid,
    OperatorUnverified,
)
from portal.web.context import OPERATOR, RequestContext
from tests.factories import a_context, a_person, an_account, an_operator
from tests.processes import at_once
from tests.program import Program, fault
from tests.visitor import PASSWORD, Visitor

PAGE = "/operator/operators"
BY_COMMAND = RequestContext(OPERATOR)


def told():
    """The newest event of the installation, in words."""
    return events_of(INSTALLATION).rows[0].words


def refused_at_once(*actions):
    """Call them at the same moment; the kinds of error that some were refused with."""
    refused = []

    def attempt(action):
        try:
            action()
        except PortalError as error:
            refused.append(type(error))

    at_once([partial(attempt, action) for action in actions])
    return refused


def token_of(link):
    return link.partition("token=")[2]


def without_number(page):
    """The page but for the number of its request, and for its tokens, which tell the second."""
    text = re.sub(r'"csrf_token" value="[^"]*"|[0-9a-f]{16}', "", page.response.text)
    return text.replace(PAGE, "/operator/nothing")


def test_operators_are_listed_on_a_page_by_the_api_and_by_a_command(desk, program_of, command):
    program = program_of(OperatorRole.SUPPORT)
    rows = [row.get_text(" ", strip=True) for row in desk.get(PAGE).html.select("tbody tr")]
    assert rows[0].startswith("ops@portal.example you operator Active")
    assert [one["email"] for one in program.get("/admin/operators").json["operators"]] == [
        "ops@portal.example",
        "program@portal.example",
    ]
    assert "program@portal.example" in command("operators", "list").stdout


@pytest.mark.attack("T3")
def test_to_everybody_else_nothing_is_there(visitor, app):
    an_account("teo@acme.example")
    visitor.log_in("teo@acme.example")
    there, nowhere = visitor.get(PAGE), visitor.get("/operator/nothing")
    assert (there.status, nowhere.status) == (404, 404)
    assert without_number(there) == without_number(nowhere)
    program = Program(app)
    program.log_in("teo@acme.example")
    assert fault(program.get("/admin/operators"))[:2] == (404, "not_found")
    assert program.get("/admin/operators").json == program.get("/admin/nothing").json


def test_the_second_factor_is_asked_for_again_after_twelve_hours(desk, time_machine):
    time_machine.move_to(clock.now() + timedelta(hours=11, minutes=59))
    assert desk.get(PAGE).status == 200
    time_machine.move_to(clock.now() + timedelta(minutes=2))
    assert desk.get(PAGE).response.location.startswith("/account/confirm")


@pytest.mark.attack("T2")
def test_a_role_that_is_taken_ends_with_the_next_request(desk):
    Account.objects.update(unset__operator_role=True)
    assert desk.get(PAGE).status == 404


# Roles


def test_an_account_is_made_an_operator_and_all_who_should_know_are_told(desk_of):
    desk = desk_of(OperatorRole.ADMIN)
    an_account("teo@acme.example")
    answer = desk.post(PAGE + "/new", {"email": "teo@acme.example", "role": "support"})
    assert answer.status == 303
    assert Account.objects.get(email="teo@acme.example").operator_role == OperatorRole.SUPPORT
    assert told() == "Made teo@acme.example support in the console"
    assert {mail.to for mail in Mail.objects(kind="operator_changed")} == {
        "teo@acme.example",
        "ops@portal.example",
    }


def test_a_role_is_changed_and_taken_on_pages(desk_of):
    desk, other = desk_of(OperatorRole.ADMIN), an_operator(email="teo@portal.example")
    assert desk.post(f"{PAGE}/{other.id}", {"role": "operator-admin"}).status == 303
    assert (
        told()
        == "Role of teo@portal.example in the console changed from operator to operator-admin"
    )
    assert desk.post(f"{PAGE}/{other.id}/remove").status == 303
    assert [one.email for one in roles.list_operators()] == ["ops@portal.example"]


def test_nobody_becomes_an_operator_by_an_address_that_anybody_may_have_typed(app):
    an_account("teo@acme.example", verified=False)
    with pytest.raises(OperatorUnverified):
        roles.add_operator("teo@acme.example", OperatorRole.SUPPORT, BY_COMMAND)
    with pytest.raises(NoSuchAccount):
        roles.add_operator("nobody@acme.example", OperatorRole.SUPPORT, BY_COMMAND)


@pytest.mark.attack("T4")
@pytest.mark.parametrize("end", ["remove", "demote", "close"])
def test_the_last_operator_admin_stays(app, end):
    account = an_operator(OperatorRole.ADMIN)
    an_operator(OperatorRole.OPERATOR, "other@portal.example")
    ends = {
        "remove": lambda: roles.remove_operator(account.id, BY_COMMAND),
        "demote": lambda: roles.set_role(account.id, OperatorRole.SUPPORT, BY_COMMAND),
        "close": lambda: close_account(account.id, account.email, PASSWORD, a_context(account)),
    }
    with pytest.raises(LastOperatorAdmin):
        ends[end]()
    assert Account.objects.get(id=account.id).operator_role == OperatorRole.ADMIN


@pytest.mark.attack("O5", "T4")
def test_by_the_api_the_last_operator_admin_stays_too_and_a_found_token_names_nobody(
    program_of, time_machine
):
    program = program_of(OperatorRole.ADMIN)
    own = f"/admin/operators/{Account.objects.get().id}"
    assert fault(program.delete(own))[:2] == (409, "last_operator_admin")
    assert fault(program.put(own, {"role": "support"}))[:2] == (409, "last_operator_admin")
    other = an_operator()
    time_machine.move_to(clock.now() + timedelta(minutes=16))
    answer = program.delete(f"/admin/operators/{other.id}")
    assert fault(answer)[:2] == (403, "recent_log_in_required")
    assert program.get("/admin/operators").status_code == 200


@pytest.mark.attack("T4")
def test_of_two_operator_admins_who_remove_each_other_one_stays(app):
    first, second = (an_operator(OperatorRole.ADMIN, f"{n}@portal.example") for n in "ab")
    refused = refused_at_once(
        lambda: roles.remove_operator(first.id, BY_COMMAND),
        lambda: roles.remove_operator(second.id, BY_COMMAND),
    )
    assert refused == [LastOperatorAdmin]
    assert Account.objects(operator_role=OperatorRole.ADMIN).count() == 1


def test_the_role_ends_with_the_account(app):
    account = an_operator(OperatorRole.OPERATOR)
    close_account(account.id, account.email, PASSWORD, a_context(account))
    assert roles.list_operators() == []
    assert told() == "Removed a closed account from the operators: was operator"


# One-time links


def test_the_first_link_makes_one_operator_admin_who_then_needs_a_second_factor(app, visitor):
    link = entering.make_first_link()
    path = link.removeprefix(settings.current().public_url)
    typed = {"email": "mara@portal.example", "password": PASSWORD}
    entered = visitor.post("/operator/enter", typed, form_at=path)
    assert entered.response.location == "/account/security"
    assert Account.objects.get().operator_role == OperatorRole.ADMIN
    assert "The console needs a second factor" in visitor.get(PAGE).text
    ways_in = visitor.get("/organizations").html.select(".look-further a")
    assert ways_in[-1]["href"] == PAGE.removesuffix("/operators")


@pytest.mark.parametrize("browser", ["of another tab", "without cookies", "that logged in"])
def test_a_stale_form_of_the_first_link_is_shown_again_and_the_link_works(app, visitor, browser):
    path = entering.make_first_link().removeprefix(settings.current().public_url)
    typed = {"email": "mara@portal.example", "password": PASSWORD}
    sent = {**Visitor(app).hidden(path), **typed}
    if browser == "of another tab":
        visitor.get(path)
    if browser == "that logged in":
        an_account(typed["email"])
        visitor.log_in(typed["email"])
    page = visitor.send("/operator/enter", sent)
    assert (page.status, page.html.h1.get_text(strip=True)) == (400, visitor.get(path).heading)
    again = {field["name"]: field["value"] for field in page.html.select("main [type=hidden]")}
    assert visitor.send("/operator/enter", {**again, **typed}).location == "/account/security"


@pytest.mark.attack("O2")
def test_the_first_link_works_once_for_an_hour_and_while_nobody_is_an_operator(app, time_machine):
    token = token_of(entering.make_first_link())
    assert OperatorLink.objects.get().id != token  # only its hash
    with pytest.raises(OperatorLinkInvalid):
        entering.find_link(token[:-1] + "x")
    account = an_operator()
    with pytest.raises(OperatorLinkInvalid):
        entering.enter(token, "eve@evil.example", PASSWORD, a_context(), "")
    assert entering.make_first_link() is None
    account.delete()
    time_machine.move_to(clock.now() + timedelta(minutes=61))
    with pytest.raises(OperatorLinkInvalid):
        entering.find_link(token)


@pytest.mark.attack("O2")
def test_of_two_who_follow_the_first_link_at_once_one_is_an_operator(app):
    token = token_of(entering.make_first_link())
    refused = refused_at_once(
        lambda: entering.enter(token, "a@portal.example", PASSWORD, a_context(), ""),
        lambda: entering.enter(token, "b@portal.example", PASSWORD, a_context(), ""),
    )
    assert refused == [OperatorLinkInvalid]
    assert Account.objects.count() == 1


def test_of_portals_that_start_at_once_one_makes_a_link(app, time_machine):
    links = at_once([entering.make_first_link] * 4)
    assert len([link for link in links if link]) == 1
    time_machine.move_to(clock.now() + timedelta(minutes=2))
    later = entering.make_first_link()
    assert OperatorLink.objects.count() == 1
    entering.find_link(token_of(later))


def test_a_command_makes_an_operator_of_an_account_or_a_link_for_its_address(app, command):
    an_account("teo@acme.example")
    assert (
        "teo@acme.example is operator-admin"
        in command("operators", "create", "teo@acme.example").stdout
    )
    made = command("operators", "create", "lena@acme.example", "--role", "support").stdout
    token = re.search(r"token=(\S+)", made)[1]
    principal = entering.enter(token, "", PASSWORD, a_context(), "")
    assert (principal.email, Account.objects.get(id=principal.account_id).operator_role) == (
        "lena@acme.example",
        "support",
    )


def test_whoever_has_an_account_takes_the_link_logged_in(app, visitor):
    token = token_of(entering.create_operator("teo@acme.example", "operator", BY_COMMAND).link)
    teo, eve = an_account("teo@acme.example"), an_account("eve@evil.example")
    with pytest.raises(LinkForAnotherAddress):
        entering.accept(token, a_person(eve), a_context(eve))
    visitor.log_in("teo@acme.example")
    path = f"/operator/enter?token={token}"
    assert visitor.post("/operator/enter", form_at=path).status == 303
    assert Account.objects.get(id=teo.id).operator_role == OperatorRole.OPERATOR
    assert visitor.get(path).status == 410


# Keys


def test_a_key_acts_as_the_operator_until_it_is_revoked_or_its_last_day_is_over(app, time_machine):
    today = clock.now().date()
    program = Program(app, keys.create_key("Billing", "support", today, BY_COMMAND).credential)
    assert program.get("/admin/operators").status_code == 200
    made = keys.create_key("Other", "operator", today, BY_COMMAND)
    keys.revoke_key(made.id, BY_COMMAND)
    assert Program(app, made.credential).get("/admin/operators").status_code == 401
    time_machine.move_to(clock.now() + timedelta(days=1))
    assert program.get("/admin/operators").status_code == 401


def test_a_key_opens_nothing_but_the_console_and_names_no_operators(app):
    today = clock.now().date()
    program = Program(app, keys.create_key("Billing", "operator", today, BY_COMMAND).credential)
    assert fault(program.get("/org/acme-corp"))[:2] == (403, "operator_key_only")
    assert fault(program.get("/auth/check"))[:2] == (403, "operator_key_only")
    body = {"email": "teo@acme.example", "role": "operator-admin"}
    assert fault(program.post("/admin/operators", body))[:2] == (403, "operator_forbidden")
    assert "operator-admin" not in str(keys.list_keys())


def test_the_secret_of_a_key_is_shown_once(desk_of, master_db):
    desk = desk_of(OperatorRole.ADMIN)
    typed = {"name": "Billing", "role": "support", "expires_on": str(clock.now().date())}
    shown = desk.post("/operator/keys/new", typed).html.select_one("code.secret").get_text()
    assert shown.startswith("po_")
    assert shown.rpartition("_")[2] not in str(list(master_db.operator_keys.find()))
    assert "Billing" in desk.get("/operator/keys").text
    own = Account.objects.get().id
    assert "Billing goes on" in desk.get(f"{PAGE}/{own}/remove").text
