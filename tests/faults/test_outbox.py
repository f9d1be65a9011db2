"""Senders of mails that die anywhere: no mail is lost, and copies have one reason."""

import os
import random
import smtplib
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import wraps

import pymongo
import pytest

from portal.app import create_app
from portal.database.transactions import transaction
from portal.documents.mails import Mail, Outcome
from portal.mail import outbox, sender
from portal.mail.outbox import MailKind
from tests.faults.lapse import let_mails_be_due
from tests.forking import processes

MAILS = 200


def _content(mail):
    return {"name": mail.ids["number"], "purge_at": mail.created_at, "link": "http://localhost/"}


KIND = MailKind("purge_near", "Mail {name}", _content)


class _Commands(pymongo.monitoring.CommandListener):
    def __init__(self, pass_by):
        self.pass_by = pass_by

    def started(self, event):
        self.pass_by(f"{event.command_name} to be sent")

    def succeeded(self, event):
        self.pass_by(f"{event.command_name} answered")

    def failed(self, event):
        self.pass_by(f"{event.command_name} answered")


@dataclass(frozen=True)
class Death:
    """Where a sender died: the point, and whether the server may have the mail by then, or has it,
    without a record of that."""

    point: str
    in_the_window: bool


def is_in_the_window(passed):
    """Whether the content of a mail was sent, after the server's 354, and what came then is yet to
    be recorded: by the update that follows the answer."""
    asked = [n for n, point in enumerate(passed) if point.startswith("after getreply (354")]
    since = passed[asked[-1] + 1 :] if asked else []
    return bool(since) and "update answered" not in since


class _Sender:
    """This process, which dies as it passes its ``end``-th point, and tells where."""

    def __init__(self, told):
        self.told, self.passed, self.end = told, [], None

    def pass_by(self, point):
        self.passed.append(point)
        if len(self.passed) == self.end:
            self.told.send(Death(point, is_in_the_window(self.passed)))
            os._exit(1)

    def send_mails(self, app, end):
        self.passed.clear()
        self.end = end
        while sender.send_due_mails(app):
            pass
        self.told.send(None)
        os._exit(0)


def fork_senders(active, asked):
    """Have a process of its own send mails for each end that is asked for. They are forked from one
    that connected to nothing, as making the application takes longer than all that they do."""
    way = _Sender(asked)
    pymongo.monitoring.register(_Commands(way.pass_by))
    _watch(smtplib.SMTP, "putcmd", way.pass_by)
    _watch(smtplib.SMTP, "getreply", way.pass_by)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    app = create_app(active)
    outbox.KINDS[KIND.name] = KIND
    while end := asked.recv():
        child = os.fork()
        if child == 0:
            way.send_mails(app, end)
        os.waitpid(child, 0)


def _watch(owner, name, pass_by):
    original = getattr(owner, name)

    @wraps(original)
    def watched(*args, **options):
        pass_by(f"before {name} {args[1:2]}")
        result = original(*args, **options)
        pass_by(f"after {name} {result}")
        return result

    setattr(owner, name, watched)


@pytest.fixture
def active(office, settings, app):
    state = app.extensions["mailman"]
    there = {"mail_server": state.server, "mail_port": state.port, "mail_security": "none"}
    return replace(settings, **there)


@pytest.fixture
def die_at(active):
    """The ``Death`` of a sender at a point; ``None`` if it was done before."""
    ours, theirs = processes.Pipe()
    process = processes.Process(target=fork_senders, args=(active, theirs))
    process.start()
    theirs.close()

    def die_at(end):
        ours.send(end)
        return ours.recv()

    yield die_at
    ours.send(None)
    process.join()


def put(count):
    for number in range(count):
        transaction(lambda number=number: outbox.enqueue(KIND, "mara@acme.example", number=number))


def copies_in(office):
    """How often each mail was sent: each time as the same message, by which a reader's program
    knows a copy."""
    ids = defaultdict(list)
    for message in office.messages:
        ids[message["Subject"]].append(message["Message-ID"])
    assert all(len(set(of_one)) == 1 for of_one in ids.values())
    assert len({of_one[0] for of_one in ids.values()}) == len(ids)
    return [len(of_one) for of_one in ids.values()]


def test_a_sender_may_die_at_every_point_of_sending_one_mail(
    app, die_at, office, master_db, figure, monkeypatch
):
    monkeypatch.setitem(outbox.KINDS, KIND.name, KIND)  # this process lives, and sends what is due
    points, window, twice = [], [], []
    while death := put_and_die(die_at, len(points) + 1):
        if death.in_the_window:
            window.append(len(points))
        points.append(death.point)
        let_mails_be_due(master_db)
        sender.send_due_mails(app)
        [copies] = copies_in(office)
        assert Mail.objects.get().outcome == Outcome.SENT
        if copies > 1:
            twice.append(len(points) - 1)
        assert copies <= 2
        office.messages.clear()
        Mail.objects.delete()
    record = max(n for n, point in enumerate(points) if point == "update to be sent")
    assert points[record - 1].startswith("after getreply (250")
    # From the server's taking it to the record of that, and nowhere else.
    assert window == [record - 2, record - 1, record]
    assert {record - 1, record} <= set(twice) <= set(window)
    figure(f"{len(points)} points, two copies at {len(twice)}: {[points[n] for n in twice]}")


def put_and_die(die_at, end):
    put(1)
    return die_at(end)


@pytest.mark.full
def test_of_200_mails_none_is_lost_whatever_dies(die_at, office, master_db, figure):
    put(MAILS)
    dice, deaths = random.Random(7), []
    while death := die_at(dice.randint(1, 300)):
        deaths.append(death)
        let_mails_be_due(master_db)
    in_the_window = [death.point for death in deaths if death.in_the_window]
    copies = copies_in(office)
    assert len(copies) == MAILS
    assert set(Mail.objects.distinct("outcome")) == {Outcome.SENT}
    figure(
        f"{MAILS} mails, {len(deaths)} senders died: 0 lost, {sum(copies) - MAILS} sent twice, "
        f"{len(in_the_window)} having died after one was sent and before that was recorded"
    )
    assert sum(copies) - MAILS <= len(in_the_window)
