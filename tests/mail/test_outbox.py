"""Mails are sent if and only if what they tell has happened, whatever the mail server does."""

from dataclasses import replace
from datetime import timedelta

import pytest

from portal import clock
from portal.database.transactions import transaction
from portal.documents.mails import Mail, Outcome
from portal.mail import outbox, sender, transport
from portal.mail.outbox import MailKind
from tests.mail.post_office import silent_server, text_of

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
    assert awaited == {"verify_address", "confirm_address", "recover_password", "finish_sign_up"}


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
