"""Signing up where an address has to be proved first."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from portal import clock
from portal import settings as portal_settings
from portal.database.connection import master_database
from portal.documents.accounts import Account
from portal.documents.audit import AuditEvent
from portal.documents.memberships import Membership
from portal.documents.organizations import Organization, Slug
from portal.documents.sessions import Session
from portal.documents.sign_ups import PendingSignUp
from portal.identity.accounts.closing import close_account
from portal.mail import links, sender
from portal.mail.links import LinkPurpose
from portal.organizations import signing_up
from portal.organizations.lifecycle.runner import recover_due_operations
from portal.organizations.signing_up import MAX_PER_ADDRESS
from tests.factories import a_context, an_account, collections_in
from tests.faults.lapse import let_leases_run_out
from tests.mail.post_office import text_of
from tests.processes import at_once
from tests.program import Program, fault
from tests.stopwatch import take_as_long, work_seconds
from tests.visitor import PASSWORD, Visitor

MARA = "mara@acme.example"
OTHER = "wandering staple battery moon"
BORN = (Account, Session, Organization, Slug, Membership, AuditEvent)


@pytest.fixture(autouse=True)
def verified(settings):
    """The portal asks for the address to be proved; ``verified`` sets more."""

    def use(**more):
        portal_settings.activate(replace(settings, signup_requires_verification=True, **more))

    use()
    yield use
    portal_settings.activate(settings)


@pytest.fixture
def mailed(app, office):
    """What is sent now to an address: the messages, and the path of the link in the last."""

    def messages(to=MARA):
        office.messages.clear()
        sender.send_due_mails(app)
        return office.to(to)

    return messages


def link_in(message):
    return re.search(r"http://localhost(/\S+)", text_of(message))[1]


def born():
    return [document.__name__ for document in BORN if document.objects]


@pytest.fixture
def link(visitor, mailed):
    """The link that Mara is sent."""
    visitor.sign_up()
    return link_in(mailed()[0])


def filled_in(visitor, link):
    shown = visitor.get(link)
    typed = {"organization_name": shown.value("organization_name"), "email": shown.value("email")}
    return {**visitor.hidden(link), **typed, "password": PASSWORD}


def finish(visitor, link, **fields):
    return visitor.send("/signup/finish", {**filled_in(visitor, link), **fields})


def test_nothing_is_created_before_the_link_is_followed(visitor, tenant_db):
    answer = visitor.sign_up()
    assert answer.status == 202
    assert answer.heading == "Check your mailbox"
    assert MARA in answer.text
    assert born() == []
    assert tenant_db.list_collection_names() == []


def test_who_follows_the_link_creates_the_organization_and_is_logged_in(visitor, link, tenant_db):
    page = visitor.get(link)
    assert page.heading == "Finish signing up"
    assert page.value("organization_name") == "Acme Corp"
    assert page.value("email") == MARA
    field = page.html.find(id="password")
    assert (field["autocomplete"], field.get("maxlength")) == ("current-password", None)
    assert born() == []
    answer = finish(visitor, link)
    assert (answer.status, answer.location) == (303, "/organizations/acme-corp")
    assert visitor.get("/organizations/acme-corp").heading == "Acme Corp"
    account = Account.objects.get()
    assert account.verified_at
    events = AuditEvent.objects(chain=account.id)
    assert [event.action for event in events] == ["account.address_verified"]
    assert set(AuditEvent.objects.scalar("session")) == {Session.objects.get().public_id}
    assert tenant_db.list_collection_names() == ["org_acme_corp"]


@pytest.mark.attack("A3")
def test_the_link_works_once_and_in_any_browser(app, link):
    assert finish(Visitor(app), link).status == 303
    again = Visitor(app).get(link)
    assert (again.status, again.heading) == (410, "This link no longer works")
    assert len(Organization.objects) == 1


@pytest.mark.attack("A3")
def test_a_link_works_for_a_day(visitor, link, time_machine):
    time_machine.move_to(clock.now() + timedelta(hours=23, minutes=55))
    assert visitor.get(link).status == 200
    time_machine.move_to(clock.now() + timedelta(minutes=6))
    assert visitor.get(link).status == 410


@pytest.mark.attack("A3")
@pytest.mark.parametrize("forged", ["", "x", "x.y.z", "{}", "\0"])
def test_a_guessed_link_leads_nowhere(visitor, forged):
    assert visitor.get("/signup/finish", query_string={"token": forged}).status == 410


@pytest.mark.attack("A3")
def test_nothing_in_the_database_opens_anything(visitor, master_db, link):
    """The link is signed when it is sent, for this purpose alone."""
    token = link.partition("token=")[2]
    kept = str([list(master_db[name].find()) for name in collections_in(master_db)])
    assert token not in kept
    assert PASSWORD not in kept
    foreign = links.sign_token(
        LinkPurpose("something else", timedelta(days=1)), {"id": PendingSignUp.objects.get().id}
    )
    assert visitor.get(f"/signup/finish?token={foreign}").status == 410


@pytest.mark.attack("S3")
def test_links_live_on_after_a_change_of_the_secret(visitor, link, verified, settings):
    verified(secret_key="n" * 48, secret_key_fallbacks=(settings.secret_key,))
    assert visitor.get(link).status == 200
    verified(secret_key="n" * 48)
    assert visitor.get(link).status == 410


def test_two_clicks_create_one_organization_and_lead_to_it(visitor, link):
    shown = visitor.get(link)
    fields = {"organization_name": "Acme Corp", "email": MARA, "password": PASSWORD}
    fields |= visitor.hidden(link)
    first, second = visitor.send("/signup/finish", fields), visitor.send("/signup/finish", fields)
    assert shown.status == 200
    assert first.location == second.location == "/organizations/acme-corp"
    assert len(Organization.objects) == 1
    assert visitor.get("/organizations/acme-corp").status == 200


def test_of_two_who_follow_the_link_at_once_one_creates(app, link):
    forms = [(visitor, filled_in(visitor, link)) for visitor in (Visitor(app) for _ in range(4))]
    answers = at_once([lambda v=v, f=f: v.send("/signup/finish", f).status for v, f in forms])
    assert answers.count(303) == 1
    assert len(Account.objects) == len(Organization.objects) == 1


def test_a_name_that_was_taken_meanwhile_is_told_and_another_may_be_chosen(app, visitor, link):
    portal_settings.activate(replace(portal_settings.current(), signup_requires_verification=False))
    assert Visitor(app).sign_up("acme corp", "teo@acme.example").status == 303
    answer = finish(visitor, link)
    assert answer.status == 409
    assert "acme-corp is taken" in answer.fault("organization_name")
    assert not Account.objects(email=MARA)
    answer = finish(visitor, link, organization_name="Acme Corp Two")
    assert answer.location == "/organizations/acme-corp-two"


@pytest.mark.attack("N3")
def test_a_collection_in_the_way_is_told_and_the_link_still_works(visitor, link, tenant_db):
    tenant_db.org_acme_corp.insert_one({"_id": 1, "theirs": True})
    answer = finish(visitor, link)
    assert (answer.status, born()) == (409, [])
    assert list(tenant_db.org_acme_corp.find()) == [{"_id": 1, "theirs": True}]
    assert finish(visitor, link, organization_name="Other").status == 303


def test_a_taken_name_is_told_at_once(app, visitor, link):
    finish(visitor, link)
    answer = Visitor(app).sign_up("ACME corp", "teo@acme.example")
    assert answer.status == 409
    assert "acme-corp is taken" in answer.fault("organization_name")


@pytest.mark.parametrize(
    ("field", "value"),
    [("organization_name", "x"), ("email", "mara"), ("password", "short")],
)
def test_faults_are_told_at_the_field(visitor, field, value):
    good = {"organization_name": "Acme Corp", "email": MARA, "password": PASSWORD}
    answer = visitor.post("/signup", {**good, field: value})
    assert answer.status == 422
    assert answer.fault(field)
    assert not PendingSignUp.objects


@pytest.mark.attack("A7")
def test_whoever_has_the_link_chooses_the_password(app, link):
    """Somebody else typed the address, and knows the password of then."""
    answer = finish(Visitor(app), link, password="password1234")
    assert (answer.status, bool(answer.fault("password"))) == (422, True)
    assert finish(Visitor(app), link, password=OTHER).status == 303
    assert Visitor(app).log_in(MARA, PASSWORD).status == 401
    assert Visitor(app).log_in(MARA, OTHER).status == 303


def test_the_address_is_the_one_that_the_link_was_sent_to(visitor, link):
    assert finish(visitor, link, email="other@acme.example").status == 303
    assert Account.objects.get().email == MARA


@pytest.mark.attack("A2")
def test_who_has_an_account_is_told_so_by_mail(visitor, mailed):
    an_account(MARA)
    answer = visitor.sign_up("Acme Corp", "MARA@acme.example")
    assert answer.status == 202
    [message] = mailed("MARA@acme.example")
    assert message["Subject"] == "You have an account"
    assert link_in(message) == "/login"
    assert "signup" not in text_of(message)
    assert not Organization.objects


@pytest.mark.attack("A2")
def test_known_and_unknown_addresses_are_answered_alike(visitor, app, commands):
    """In words, and in what is done before."""
    an_account(MARA)
    told = []
    for email in (MARA, "teo@acme.example"):
        stranger = Visitor(app)
        hidden = stranger.hidden("/signup")
        fields = {"organization_name": "Acme Corp", "email": email, "password": PASSWORD}
        commands.clear()
        answer = stranger.send("/signup", {**hidden, **fields})
        told.append((answer.status, answer.text.replace(email, "it"), list(commands)))
    assert told[0] == told[1]


@pytest.mark.attack("A2")
def test_a_typed_slug_is_kept_until_the_link_is_followed(visitor, mailed):
    fields = {"organization_name": "背景", "slug": "backdrop", "email": MARA, "password": PASSWORD}
    assert visitor.post("/signup", fields).status == 202
    link = link_in(mailed()[0])
    assert visitor.get(link).value("slug") == "backdrop"
    assert finish(visitor, link, slug="backdrop").location == "/organizations/backdrop"


@pytest.mark.usefixtures("real_hashes")
@pytest.mark.slow
def test_known_and_unknown_addresses_take_as_long(app):
    """The work; that the commands are the same, a test above says."""
    program, answers = Program(app), set()

    def seconds(email):
        return work_seconds(lambda: answers.add(program.sign_up("Acme Corp", email).status_code))

    def pairs(row):
        names = [f"known{row}{n}" for n in range(10)]
        for name in names:
            an_account(f"{name}@acme.example")
        return [(f"{name}@acme.example", f"un{name}@acme.example") for name in names]

    assert take_as_long(seconds, pairs)
    assert answers == {202}


def test_an_account_made_meanwhile_is_told(visitor, link):
    an_account(MARA)
    answer = finish(visitor, link)
    assert answer.status == 409
    assert "log in" in answer.fault("email")
    assert not Organization.objects


def test_the_first_link_that_is_followed_ends_the_others(app, visitor, mailed):
    visitor.sign_up("Acme Corp")
    visitor.sign_up("Other")
    first, second = (link_in(message) for message in mailed())
    assert finish(Visitor(app), second).location == "/organizations/other"
    assert Visitor(app).get(first).status == 410


@pytest.mark.attack("A1")
def test_a_mailbox_is_not_flooded(visitor, mailed):
    """Who asks for more is answered alike, and nothing more is sent."""
    answers = [visitor.sign_up(f"Acme {n}").status for n in range(MAX_PER_ADDRESS + 3)]
    assert answers == [202] * (MAX_PER_ADDRESS + 3)
    assert len(mailed()) == MAX_PER_ADDRESS


def test_a_mail_says_nothing_that_a_stranger_typed(visitor, mailed):
    """Else the portal would send what anybody wants to whomever they want."""
    visitor.sign_up("Buy at evil.example/now")
    [message] = mailed()
    assert "evil" not in message.as_string()


def test_a_program_is_answered_alike(app, mailed):
    answer = Program(app).sign_up()
    assert answer.status_code == 202
    assert answer.json == {"status": "success", "organization": None}
    assert len(mailed()) == 1
    answer = Program(app).post("/org/create", {"organization_name": "x", "email": "y"})
    assert answer.status_code == 422


def test_a_program_with_a_token_creates_at_once(app):
    an_account(MARA)
    program = Program(app)
    program.log_in(MARA)
    assert program.post("/org/create", {"organization_name": "Acme Corp"}).status_code == 201


def test_what_is_sent_twice_sends_one_mail(app, visitor, mailed):
    fields = {"organization_name": "Acme Corp", "email": MARA, "password": PASSWORD}
    typed = {**visitor.hidden("/signup"), **fields}
    assert [visitor.send("/signup", typed).status for _ in range(2)] == [202, 202]
    assert len(mailed()) == 1
    program, headers = Program(app), {"Idempotency-Key": "once"}
    teos = {**fields, "email": "teo@acme.example"}
    answers = [program.post("/org/create", teos, headers=headers).status_code for _ in range(2)]
    assert answers == [202, 202]
    assert len(mailed("teo@acme.example")) == 1
    refused = program.post("/org/create", {**teos, "organization_name": "Other"}, headers=headers)
    assert fault(refused)[:2] == (422, "idempotency_key_reused")


def test_sign_ups_are_limited_by_network(visitor, link, verified):
    verified(rate_limits=True, signup_limit=1)
    assert visitor.sign_up("Other", "teo@acme.example").status == 202
    assert visitor.sign_up("More", "ada@acme.example").status == 429
    assert finish(visitor, link).status == 429


def test_what_waits_is_forgotten_by_the_database(master_db, visitor):
    visitor.sign_up()
    indexes = master_db.pending_sign_ups.index_information().values()
    assert any(index.get("expireAfterSeconds") == 24 * 3600 for index in indexes)


@pytest.mark.attack("L1")
def test_no_link_or_password_is_in_the_log(visitor, link, log, mailed):
    visitor.sign_up("Other", "teo@acme.example")
    mailed("teo@acme.example")
    finish(visitor, link)
    token = link.partition("token=")[2]
    for secret in (token, PASSWORD, MARA, "teo@", Account.objects.get().password_hash):
        assert secret not in log.text


@pytest.mark.attack("A7")
def test_a_link_is_for_one_sign_up_whatever_is_asked_for_by_the_same_key(app, mailed):
    """The link of one's own, and then the victim's address."""
    program, keyed = Program(app), {"headers": {"Idempotency-Key": "one"}}
    asked = {"organization_name": "Acme Corp", "email": MARA, "password": PASSWORD}
    program.post("/org/create", asked, **keyed)
    link = link_in(mailed()[-1])
    assert finish(Visitor(app), link).status == 303
    victim = {**asked, "organization_name": "Other", "email": "victim@bank.example"}
    refused = program.post("/org/create", victim, **keyed)
    assert fault(refused)[:2] == (422, "idempotency_key_reused")
    assert Visitor(app).get(link).status == 410
    assert not PendingSignUp.objects(email="victim@bank.example")


@pytest.mark.attack("A2")
@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
def test_a_call_that_is_sent_again_after_the_link_was_followed_is_answered_as_at_first(
    app, mailed, known
):
    """Alike for an address that had an account before, too."""
    if known:
        an_account("teo@acme.example")
    program, keyed = Program(app), {"headers": {"Idempotency-Key": "once"}}
    asked = {"organization_name": "Acme Corp", "email": MARA, "password": PASSWORD}
    teos = {**asked, "email": "teo@acme.example"}
    first = program.post("/org/create", asked, **keyed)
    other = Program(app).post("/org/create", teos, headers={"Idempotency-Key": "his"})
    assert finish(Visitor(app), link_in(mailed()[-1])).status == 303
    again = program.post("/org/create", asked, **keyed)
    assert (again.status_code, again.json) == (first.status_code, first.json)
    again = Program(app).post("/org/create", teos, headers={"Idempotency-Key": "his"})
    assert (again.status_code, again.json) == (other.status_code, other.json)
    assert (first.status_code, other.status_code) == (202, 202)
    assert mailed() == []
    assert fault(program.post("/org/create", asked))[0] == 409


@pytest.mark.attack("F1")
def test_a_link_works_again_where_another_process_turns_the_creation_back(
    visitor, link, tenant_db, monkeypatch
):
    """Who followed the link died as soon as all was written."""
    tenant_db.org_acme_corp.insert_one({"theirs": True})
    with monkeypatch.context() as dying:
        dying.setattr(signing_up, "run_now", lambda organization: organization)
        assert finish(visitor, link).status == 303
    assert Visitor(visitor.client.application).get(link).status == 410
    let_leases_run_out(master_database())
    recover_due_operations()
    assert born() == []
    assert finish(visitor, link, organization_name="Other").location == "/organizations/other"
    assert Visitor(visitor.client.application).get(link).status == 410


def test_where_the_creation_is_turned_back_the_other_links_work_again_too(
    app, visitor, mailed, tenant_db
):
    visitor.sign_up("Acme Corp")
    visitor.sign_up("Other")
    first, second = (link_in(message) for message in mailed())
    tenant_db.org_acme_corp.insert_one({"theirs": True})
    assert finish(Visitor(app), first).status == 409
    assert finish(Visitor(app), second).location == "/organizations/other"
    assert Visitor(app).get(first).status == 410


@pytest.mark.attack("A3")
def test_a_link_is_over_also_when_its_account_is_closed(app, visitor, link, mailed):
    """What was asked for since may be finished, and turned back."""
    assert finish(visitor, link).status == 303
    account = Account.objects.get()
    Membership.objects.delete()
    close_account(account.id, MARA, PASSWORD, a_context(account))
    assert not PendingSignUp.objects
    assert Visitor(app).get(link).status == 410
