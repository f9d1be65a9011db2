"""Mails are sent if and only if what they tell has happened, whatever the mail server does."""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from portal import clock
from portal.database.transactions import transaction
from portal.documents.mails import Mail, Outcome
from portal.mail import outbox, sender, transport
from portal.mail.outbox import MailKind
from portal.settings import current
from tests.mail.post_office import open_office, own_certificate, silent_server, text_of
from tests.processes import wait_until

TO = "mara@acme.example"


@pytest.fixture(autouse=True)
def kind(monkeypatch):
    """A kind of mail that tells of an account, in the words of another's templates."""
    trashed = {"name": "Acme Corp", "trashed_by": TO, "link": "http://localhost/trash/1"}

    def context(mail):
        return {**trashed, "purge_at": clock.now()} if mail.ids.get("told") else None

    kind = MailKind("organization_trashed", "{name} is in the trash", context)
    monkeypatch.setitem(outbox.KINDS, kind.name, kind)
    return kind


@pytest.fixture
def put(kind):
    def put(to=TO, told=1):
        return transaction(lambda: outbox.enqueue(kind, to, told=told))

    return put


def now_is_due(master_db):
    """As if each pause were over, by the server's clock."""
    past = clock.now() - timedelta(minutes=1)
    master_db.mails.update_many({"due_at": {"$exists": True}}, {"$set": {"due_at": past}})


def test_a_mail_is_sent_once_as_text_and_html(app, office, put):
    mail = put()
    assert (sender.send_due_mails(app), sender.send_due_mails(app)) == (1, 0)
    [message] = office.messages
    assert message["To"] == TO
    assert message["Subject"] == "Acme Corp is in the trash"
    assert message["From"] == "Portal <portal@localhost>"
    assert message["Message-ID"] == f"<{mail.id}@localhost>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["X-Auto-Response-Suppress"] == "OOF, AutoReply"
    assert "http://localhost/trash/1" in text_of(message)
    assert 'href="http://localhost/trash/1"' in text_of(message, "html")
    assert Mail.objects.get().outcome == Outcome.SENT


def test_a_mail_comes_from_the_portal_by_its_name(app, put, settings_with):
    there = {"mail_server": "127.0.0.1", "mail_security": "none"}
    with open_office() as (office, port):
        with settings_with(**there, mail_port=port, portal_name="Acme, Büro & Co."):
            transport.init_app(app, current())
            put()
            sender.send_due_mails(app)
        transport.init_app(app, current())
    [message] = office.messages
    assert message["From"].addresses[0].display_name == "Acme, Büro & Co."
    assert message["From"].addresses[0].addr_spec == "portal@localhost"
    assert "Sent by Acme, Büro & Co. at" in text_of(message)


def test_a_mail_has_seven_bits_so_that_every_server_takes_it_as_it_is(
    app, office, put, kind, monkeypatch
):
    named = {"name": "Bäcker ☕", "trashed_by": TO, "link": "http://localhost/?a=b"}
    context = {**named, "purge_at": clock.now()}
    monkeypatch.setitem(outbox.KINDS, kind.name, replace(kind, context=lambda mail: context))
    for local in ("mara", "jörg"):
        put(f"{local}@acme.example")
    sender.send_due_mails(app)
    for message in office.messages:
        assert all(part.as_bytes().isascii() for part in message.walk() if part != message)
        assert message["Subject"] == "Bäcker ☕ is in the trash"
        for form in ("plain", "html"):
            assert "Bäcker ☕" in text_of(message, form)
            assert "http://localhost/?a=b" in text_of(message, form)
    assert len(office.messages) == 2


def test_the_mail_server_is_greeted_by_the_name_of_the_portal_and_not_of_a_container(
    app, put, settings, tmp_path
):
    named = replace(settings, public_url="https://portal.acme.example", mail_server="localhost")
    named = replace(named, mail_ca_file=str(tmp_path / "cert.pem"))
    context = own_certificate(tmp_path)
    for security in ("none", "starttls", "tls"):
        with open_office(security, context) as (office, port):
            transport.init_app(app, replace(named, mail_port=port, mail_security=security))
            put()
            sender.send_due_mails(app)
        assert office.greetings == ["portal.acme.example"]
    transport.init_app(app, settings)


@pytest.mark.parametrize(
    ("url", "greeting"),
    [
        ("https://xn--bcher-kva.example:8443", "xn--bcher-kva.example"),
        ("http://192.0.2.7:8000", "[192.0.2.7]"),
        ("http://[2001:db8::7]", "[IPv6:2001:db8::7]"),
        ("http://localhost:8000", ""),  # the machine's own name, as it is
    ],
)
def test_a_greeting_is_one_that_mail_servers_take(settings, url, greeting):
    assert replace(settings, public_url=url).mail_greeting == greeting


def test_what_did_not_happen_is_not_told(app, office, kind):
    def body():
        outbox.enqueue(kind, TO, told=1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        transaction(body)
    assert sender.send_due_mails(app) == 0


def test_what_is_not_so_any_more_is_not_told(app, office, put):
    put(told=0)
    sender.send_due_mails(app)
    assert Mail.objects.get().outcome == Outcome.NOT_NEEDED
    assert not office.messages


@pytest.mark.parametrize("answer", ["451 Later", "421 Busy", "hang up"])
def test_a_server_that_does_not_take_it_now_is_asked_again(app, office, put, master_db, answer):
    put()
    office.answers = [answer] * 2
    for attempt in (1, 2):
        sender.send_due_mails(app)
        mail = Mail.objects.get()
        assert (mail.attempt, mail.outcome) == (attempt, None)
        assert mail.last_error
        assert sender.send_due_mails(app) == 0  # not before its pause is over
        now_is_due(master_db)
    sender.send_due_mails(app)
    assert len(office.messages) == 1


def test_the_pause_grows(app, office, put, master_db):
    put()
    office.answers = ["451 Later"] * 4
    pauses = []
    for _ in range(4):
        sender.send_due_mails(app)
        pauses.append((Mail.objects.get().due_at - clock.now()).total_seconds())
        now_is_due(master_db)
    assert pauses == pytest.approx([10, 20, 40, 80], abs=2)


def test_a_server_that_is_away_is_asked_again(app, put, settings, master_db):
    away = replace(settings, mail_server="127.0.0.1", mail_port=1, mail_security="none")
    transport.init_app(app, away)
    try:
        put()
        sender.send_due_mails(app)
    finally:
        transport.init_app(app, settings)
    assert "Connection refused" in Mail.objects.get().last_error
    now_is_due(master_db)
    sender.send_due_mails(app)
    assert Mail.objects.get().outcome == Outcome.SENT


def test_a_server_that_hangs_holds_nobody_up_for_long(app, put, settings, monkeypatch):
    monkeypatch.setattr(transport, "STEP_SECONDS", 0.3)
    with silent_server() as port:
        hanging = replace(settings, mail_server="127.0.0.1", mail_port=port, mail_security="none")
        transport.init_app(app, hanging)
        try:
            put()
            sender.send_due_mails(app)
        finally:
            transport.init_app(app, settings)
    assert "timed out" in Mail.objects.get().last_error


@pytest.mark.parametrize("where", ["address", "message"])
def test_what_is_refused_for_good_is_not_sent_again(app, office, put, master_db, where):
    put()
    if where == "address":
        office.refused = {TO: "550 No such mailbox"}
    else:
        office.answers = ["554 Not wanted"]
    sender.send_due_mails(app)
    mail = Mail.objects.get()
    assert (mail.outcome, mail.due_at) == (Outcome.REFUSED, None)
    assert "55" in mail.last_error


# What servers reply while something is wrong with the portal's account, or its network, its sender
# or themselves.
OF_THE_PORTAL = {
    "message": [
        "550 5.4.5 Daily user sending quota exceeded.",
        "554 5.3.0 Transaction failed",
        "550-5.7.26 This mail is unauthenticated\r\n550 5.7.26 See SPF",
        "552 5.5.3 Too many recipients today",
    ],
    "address": [
        "554 5.7.1 <mara@acme.example>: Relay access denied",
        "550 5.1.8 <portal@localhost>: Sender address rejected: Domain not found",
        "553 5.1.7 Bad sender",
    ],
}
OF_THE_MAIL = {
    "message": ["552 5.2.2 Mailbox full", "554 5.6.0 Bad content", "554 Not wanted"],
    "address": ["550 5.1.1 No such user", "550 5.2.1 Mailbox disabled", "556 5.1.10 Null MX"],
}


@pytest.mark.each_case
@pytest.mark.parametrize("where", ["message", "address"])
def test_a_mail_waits_while_a_server_refuses_the_portal(app, office, put, where):
    for n, reply in enumerate(OF_THE_PORTAL[where] + OF_THE_MAIL[where]):
        to = put(f"mara{n}@acme.example").to
        if where == "address":
            office.refused[to] = reply
        else:
            office.answers.append(reply)
        sender.send_due_mails(app)
    waiting = [mail.last_error for mail in Mail.objects(outcome=None)]
    refused = [mail.last_error for mail in Mail.objects(outcome=Outcome.REFUSED)]
    assert (len(waiting), len(refused)) == (len(OF_THE_PORTAL[where]), len(OF_THE_MAIL[where]))
    assert all(mail.due_at for mail in Mail.objects(outcome=None))


def test_what_fails_for_days_is_given_up(app, office, put, master_db, log):
    put()
    office.answers = ["451 Later"]
    long_ago = clock.now() - sender.GIVEN_UP_AFTER - timedelta(seconds=1)
    master_db.mails.update_many({}, {"$set": {"created_at": long_ago}})
    sender.send_due_mails(app)
    assert Mail.objects.get().outcome == Outcome.GIVEN_UP
    assert log.named("mail.given_up")


def test_one_that_can_not_be_made_holds_no_other_up(app, office, put, kind, monkeypatch, log):
    def broken(mail):
        raise ZeroDivisionError

    put()
    monkeypatch.setitem(outbox.KINDS, "broken", MailKind("broken", "", broken))
    transaction(lambda: outbox.enqueue(outbox.KINDS["broken"], TO))
    assert sender.send_due_mails(app) == 2
    assert len(office.messages) == 1
    assert "ZeroDivisionError" in Mail.objects.get(kind="broken").last_error


def test_who_was_overtaken_records_nothing(app, office, put, master_db):
    """A sender that stood still past its lease, while another sent the mail."""
    put()
    office.taken = lambda message: master_db.mails.update_one({}, {"$inc": {"attempt": 1}})
    sender.send_due_mails(app)
    mail = Mail.objects.get()
    assert (mail.outcome, mail.attempt) == (None, 2)
    office.taken = lambda message: None
    now_is_due(master_db)
    sender.send_due_mails(app)
    one, other = office.messages
    assert one["Message-ID"] == other["Message-ID"]


def test_a_kind_that_a_newer_version_put_is_left_to_it(app, office, kind):
    transaction(lambda: outbox.enqueue(MailKind("unknown", "", lambda mail: None), TO))
    assert sender.send_due_mails(app) == 0


def test_leaving_the_server_badly_sends_no_second_copy(app, office, put, monkeypatch):
    """What was taken was taken, whatever the server answers to QUIT."""

    def quit_badly(backend):
        raise ConnectionResetError

    monkeypatch.setattr(transport._SmtpBackend, "close", quit_badly)
    put()
    sender.send_due_mails(app)
    assert Mail.objects.get().outcome == Outcome.SENT
    assert len(office.messages) == 1


def test_without_a_server_mails_are_files_for_their_owner_alone(app, put, settings, tmp_path):
    put()
    transport.init_app(app, replace(settings, mail_directory=str(tmp_path / "mail")))
    sender.send_due_mails(app)
    transport.init_app(app, settings)
    [file] = transport.stored_mails(str(tmp_path / "mail"))
    assert (file.to, file.subject) == (TO, "Acme Corp is in the trash")
    assert "http://localhost/trash/1" in file.text
    assert file.path.parent.stat().st_mode & 0o77 == 0
    assert Mail.objects.get().outcome == Outcome.SENT


# A mail program of before 2010 takes the first two for strasse.de and βόλοσ.com, which may be
# somebody else's (IDNA 2003).
DOMAINS = {
    "straße.example": "xn--strae-oqa.example",
    "βόλος.example": "xn--nxasmm1c.example",
    "bücher.example": "xn--bcher-kva.example",
}


@pytest.mark.each_case
@pytest.mark.parametrize("local", ["mara", "jörg"])
def test_a_mail_goes_to_the_domain_that_was_meant(app, office, put, local):
    for domain in DOMAINS:
        put(f"{local}@{domain}")
    sender.send_due_mails(app)
    meant = {f"{local}@{domain}" for domain in DOMAINS.values()}
    assert set(office.recipients) == meant
    assert {message["To"] for message in office.messages} == meant


def test_a_mail_in_a_file_names_the_domain_that_was_meant(app, put, settings, tmp_path):
    put("mara@straße.example")
    transport.init_app(app, replace(settings, mail_directory=str(tmp_path / "mail")))
    sender.send_due_mails(app)
    transport.init_app(app, settings)
    [file] = transport.stored_mails(str(tmp_path / "mail"))
    assert file.to == "mara@xn--strae-oqa.example"


def test_the_outbox_opens_nothing_and_names_no_secret(put, master_db):
    put()
    [stored] = master_db.mails.find()
    assert set(stored) == {"_id", "kind", "to", "ids", "created_at", "due_at", "attempt"}


@pytest.mark.attack("N1")
def test_names_are_escaped_in_mails(app, office, put, monkeypatch, kind):
    """In mails."""
    name = "<b>{{7*7}}</b> {link}"
    hostile = {"name": name, "trashed_by": TO, "link": "http://localhost/", "purge_at": clock.now()}
    replaced = MailKind(kind.name, kind.subject, lambda mail: hostile)
    monkeypatch.setitem(outbox.KINDS, kind.name, replaced)
    put()
    sender.send_due_mails(app)
    [message] = office.messages
    assert message["Subject"] == f"{name} is in the trash"
    assert name in text_of(message)
    assert "&lt;b&gt;{{7*7}}&lt;/b&gt;" in text_of(message, "html")


def test_what_somebody_waits_for_goes_first(app, office, put, kind, monkeypatch):
    """However many mails an organization's members have caused before."""
    waited = replace(kind, name="purge_near", awaited=True)
    monkeypatch.setitem(outbox.KINDS, waited.name, waited)
    for n in range(3):
        put(f"event{n}@acme.example")
    transaction(lambda: outbox.enqueue(waited, "first@acme.example", told=1))
    sender.send_due_mails(app)
    first, *others = [message["To"] for message in office.messages]
    assert (first, len(others)) == ("first@acme.example", 3)


def test_mails_that_are_waited_for_are_declared_so():
    awaited = {kind.name for kind in outbox.KINDS.values() if kind.awaited}
    assert awaited == {
        "verify_address", "confirm_address", "recover_password", "finish_sign_up",
        "factors_reset_requested", "support_asked",
    }  # fmt: skip


def test_the_next_one_is_found_in_the_order_of_an_index(put, kind, master_db):
    for _ in range(20):
        put()
    due = {
        "due_at": {"$exists": True},
        "kind": {"$in": [kind.name]},
        "$expr": {"$lt": ["$due_at", "$$NOW"]},
    }
    find = {"find": "mails", "filter": due, "sort": {"awaited": -1, "due_at": 1}, "limit": 1}
    told = master_db.command("explain", find, verbosity="executionStats")["executionStats"]
    assert told["totalDocsExamined"] == 1


def failing(app, settings, master_db, put, tries):
    """So many tries at a server that isn't there."""
    away = replace(settings, mail_server="127.0.0.1", mail_port=1, mail_security="none")
    transport.init_app(app, away)
    try:
        for _ in range(tries):
            now_is_due(master_db)
            sender.send_due_mails(app)
    finally:
        transport.init_app(app, settings)


def test_what_waits_is_counted_with_its_age_and_reason(
    app, put, settings, master_db, visitor, office
):
    assert outbox.backlog() is None
    assert visitor.get("/readyz?verbose").response.text == "ok\nmails: none waits\n"
    for name in ("one", "two"):
        put(f"{name}@acme.example")
    assert outbox.backlog() is None  # nobody had the time to try
    failing(app, settings, master_db, put, 1)
    hour_ago = clock.now() - timedelta(hours=1)
    master_db.mails.update_one({"to": "one@acme.example"}, {"$set": {"created_at": hour_ago}})
    waits = outbox.backlog()
    assert (waits.number, waits.since) == (2, hour_ago.replace(microsecond=waits.since.microsecond))
    assert str(waits).startswith("2 mails wait to leave, for an hour at most. Last reason: Conn")
    assert "Connection refused" in visitor.get("/readyz?verbose").response.text
    assert visitor.get("/readyz").response.text == "ok\n"


def test_what_nobody_tries_to_send_waits_too(put, master_db):
    put()
    long_ago = clock.now() - outbox.PROMPTLY - timedelta(seconds=1)
    master_db.mails.update_one({}, {"$set": {"created_at": long_ago}})
    assert outbox.backlog().last_error == "No portal has tried to send them."


def test_strangers_who_ask_for_health_learn_of_no_address(app, office, put, visitor):
    office.refused = {TO: f"451 {TO} is over quota"}
    put()
    sender.send_due_mails(app)
    assert TO in Mail.objects.get().last_error
    told = visitor.get("/readyz?verbose").response
    assert told.status_code == 200
    assert "1 mail waits" in told.text
    assert "@" not in told.text


def test_three_tries_in_a_row_that_fail_are_an_error(app, put, settings, master_db, log):
    put()
    failing(app, settings, master_db, put, 2)
    assert not log.named("mail.none_leaves")
    failing(app, settings, master_db, put, 1)
    [told] = log.named("mail.none_leaves")
    assert told["level"] == "error"
    assert "Connection refused" in told["error"]


def test_one_address_that_fails_while_others_get_theirs_is_no_error(
    app, office, put, master_db, log
):
    office.refused = {TO: "451 Over quota"}
    put()
    for _ in range(4):
        put("jo@acme.example")
        now_is_due(master_db)
        sender.send_due_mails(app)
    assert Mail.objects.get(to=TO).attempt == 4
    assert not log.named("mail.none_leaves")


def test_a_sender_that_stops_leaves_its_mail_to_the_others_at_once(app, put, settings, monkeypatch):
    put()
    monkeypatch.setattr(sender, "_stopping", threading.Event())
    with silent_server() as port:
        hanging = replace(settings, mail_server="127.0.0.1", mail_port=port, mail_security="none")
        transport.init_app(app, hanging)
        thread = threading.Thread(target=sender.send_due_mails, args=(app,), daemon=True)
        monkeypatch.setattr(transport, "STEP_SECONDS", 60)
        thread.start()
        wait_until(lambda: sender._in_hand)
        sender.stop()
        assert sender.send_due_mails(app) == 0  # it takes no more
        monkeypatch.setattr(sender, "_stopping", threading.Event())
        with open_office() as (office, answering):
            transport.init_app(app, replace(hanging, mail_port=answering))
            assert sender.send_due_mails(app) == 1
            transport.init_app(app, settings)
        assert Mail.objects.get().outcome == Outcome.SENT
        assert len(office.messages) == 1
    thread.join(5)


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_mail_server_with_a_certificate_of_ones_own_ca(
    app, put, settings, tmp_path, security, master_db
):
    """Not trusted until its CA is named."""
    put()
    with open_office(security, own_certificate(tmp_path)) as (office, port):
        named = replace(settings, mail_server="localhost", mail_port=port, mail_security=security)
        try:
            transport.init_app(app, named)
            sender.send_due_mails(app)
            assert "CERTIFICATE_VERIFY_FAILED" in Mail.objects.get().last_error
            transport.init_app(app, replace(named, mail_ca_file=str(tmp_path / "cert.pem")))
            now_is_due(master_db)
            sender.send_due_mails(app)
            assert len(office.messages) == 1
        finally:
            transport.init_app(app, settings)
