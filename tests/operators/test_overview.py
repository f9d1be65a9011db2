"""What the console's first page tells: what needs an operator, and nothing else."""

from contextlib import suppress
from datetime import timedelta

import pytest
from bson import ObjectId
from pymongo.errors import AutoReconnect

from portal import clock
from portal.database import background, periodic, together
from portal.database.background import Loop
from portal.database.clusters import forget_registry
from portal.database.heartbeats import Heart
from portal.database.together import joined
from portal.doctor import keeping
from portal.doctor.findings import Finding, Kind
from portal.documents.accounts import OperatorRole
from portal.documents.doctor import ExaminedCheck
from portal.documents.figures import InstallationDay
from portal.documents.jobs import Job
from portal.documents.mails import Mail
from portal.documents.moves import MoveState
from portal.documents.organizations import Organization, Restriction
from portal.documents.processes import PeriodicTask, Process
from portal.operators.overview import census, figures, sources
from portal.organizations.usage import reading, rolling
from portal.placement import capacity, policies
from portal.placement.capacity import Reading
from portal.placement.proposals import BY_POLICY
from portal.web import traffic
from tests.factories import an_organization, fresh
from tests.moving.records import a_move, a_way_back

LONG_AGO = timedelta(hours=5)


@pytest.fixture
def heart(app, monkeypatch):
    """That of this process, as of a worker of the portal."""
    monkeypatch.setattr(background, "LOOPS", [])
    monkeypatch.setattr("portal.database.heartbeats.LOOPS", background.LOOPS)
    heart = Heart("1.0", traffic.take)
    heart.wake()
    heart.beat()
    return heart


@pytest.fixture
def cared_for(heart):
    """A portal runs: it tells of itself, and has done all that it does at intervals."""
    for task in (capacity.TASK, census.TASK, rolling.TASK):
        periodic.run_if_due(task)
    keeping.examine_and_keep(())
    keeping.examine_and_keep((nothing,))
    PeriodicTask(id="doctor", due_at=clock.now(), done_at=clock.now()).save()


def nothing():
    """A check of the doctor that finds nothing."""
    return iter(())


def told(desk):
    """What needs the operator, as the page says it."""
    page = desk.get("/operator")
    assert page.status == 200
    return [row.get_text(" ", strip=True) for row in page.html.select(".needs > ul > li")]


def a_process(host, **values):
    """A process of the portal that began long ago."""
    born = {"host": host, "pid": 12, "version": "1.0", "started_at": clock.now() - LONG_AGO}
    return Process(**{**born, **values}).save()


def a_job(title, **values):
    """A job, as it stands in the database."""
    born = {"kind": "moves", "subject": title, "title": title, "created_at": clock.now()}
    return Job(**{**born, "origin": {}, **values}).save()


def begin(organization, master_db, **values):
    """Write a rename into the organization, as a portal does that goes on with it."""
    operation = {
        "id": organization.id,
        "kind": "rename",
        "attempt": 1,
        "name": "Other",
        "slug": "other",
        "started_at": clock.now(),
        "lease_until": clock.now(),
        "origin": {},
        **values,
    }
    master_db.organizations.update_one({"_id": organization.id}, {"$set": {"operation": operation}})


def test_where_all_is_well_nothing_needs_anybody(desk, cared_for):
    page = desk.get("/operator")
    assert (
        page.html.select_one(".needs .well").get_text() == "Nothing needs you. All was looked at."
    )
    assert told(desk) == []


def test_what_nobody_looked_at_is_not_told_as_well(desk, heart):
    needs = told(desk)
    assert any("Clusters: not looked at yet" in need for need in needs)
    assert any("Doctor: not looked at yet" in need for need in needs)
    assert "Nothing needs you" not in desk.get("/operator").text


def test_what_was_looked_at_too_long_ago_says_since_when(desk, cared_for):
    ExaminedCheck.objects.update(set__examined_at=clock.now() - LONG_AGO)
    PeriodicTask.objects(id="doctor").update(
        set__done_at=clock.now() - LONG_AGO, set__last_error="RuntimeError: killed"
    )
    [need] = told(desk)
    assert need.startswith("Attention: Doctor: not looked at since")
    assert "RuntimeError: killed" in need


def test_an_operation_that_fails_is_told_with_its_error(desk, cared_for, master_db):
    begin(an_organization("Acme Corp"), master_db, attempt=5, last_error="org_other exists")
    [need] = told(desk)
    assert need.startswith("Failed: Rename of Acme Corp failed 5 times")
    assert "org_other exists" in need


def test_one_without_a_way_back_says_why(desk, cared_for, master_db):
    begin(an_organization("Acme Corp"), master_db, kind="purge", attempt=5, last_error="no room")
    [need] = told(desk)
    assert "It can’t be undone: its documents are being deleted." in need
    assert "Undo" not in need
    assert "can’t be undone" in desk.get("/operator/operations").text


def test_a_suspension_that_fails_can_be_undone_and_a_lifting_too(desk, cared_for, master_db):
    acme = an_organization("Acme Corp")
    fails = {"kind": "restrict", "attempt": 5, "last_error": "no room"}
    begin(acme, master_db, restricted=Restriction.LOCKED, **fails)
    Organization.objects(id=acme.id).update(set__restricted=Restriction.LOCKED)
    assert "Undo suspension" in told(desk)[0]
    begin(acme, master_db, **fails)
    assert told(desk)[0].startswith("Failed: Lifting of a suspension of Acme Corp failed 5 times")


def test_an_operation_that_takes_long_is_told_and_a_short_one_is_not(desk, cared_for, master_db):
    begin(an_organization("Acme Corp"), master_db, started_at=clock.now() - timedelta(minutes=4))
    begin(an_organization("Other Inc"), master_db)
    [need] = told(desk)
    assert "Rename of Acme Corp has run for 4 minutes" in need


def test_of_many_some_are_told_and_the_rest_counted(desk, cared_for, master_db):
    for number in range(8):
        begin(an_organization(f"Acme {number}"), master_db, attempt=9, last_error="no cluster")
    needs = told(desk)
    assert len(needs) == 6
    assert "Operations: 3 more" in needs[-1]
    assert "8 things" in desk.get("/operator").html.select_one(".needs .remark").get_text()


def test_a_way_back_is_told_before_it_ends(desk, cared_for):
    acme, kestrel = an_organization("Acme Corp"), an_organization("Kestrel")
    a_way_back(acme, until=clock.now() + timedelta(hours=30))
    a_way_back(kestrel, until=clock.now() + timedelta(days=3))
    [need] = told(desk)
    assert need.startswith("Attention: Way back of acme-corp ends in a day")
    assert "From then on nobody can go back." in need
    link = desk.get("/operator").html.select_one(".needs .ways a")["href"]
    assert "The way back" in desk.get(link).text


def test_a_move_that_waits_for_somebody_to_say_switch_is_told(desk, cared_for):
    acme, kestrel = an_organization("Acme Corp"), an_organization("Kestrel")
    a_move(acme, MoveState.READY)
    a_move(kestrel, MoveState.READY, switch_wanted=True)
    a_move(an_organization("Verdant"), MoveState.READY, drain="from europe")
    [need] = told(desk)
    assert need.startswith("Attention: Move of acme-corp is ready, and waits for you")
    link = desk.get("/operator").html.select_one(".needs .ways a")["href"]
    assert desk.get(link).html.find("button", string="Switch when ready")


def test_a_move_that_did_not_switch_says_what_it_waits_for(desk, cared_for):
    a_move(an_organization("Acme Corp"), MoveState.READY, waits_for="a transaction of 40 s")
    [need] = told(desk)
    assert "Failed: Move of acme-corp did not switch" in need
    assert "It waits for a transaction of 40 s, and then for you." in need


@pytest.mark.attack("O2")
def test_three_planted_faults_are_each_found_in_two_clicks(desk, cared_for, master_db):
    """By whoever sees the console for the first time: from its first page, by links alone."""
    begin(an_organization("Acme Corp"), master_db, attempt=5, last_error="a disk is full")
    read(0, 20_000)
    since = {"created_at": clock.now() - timedelta(hours=2), "due_at": clock.now()}
    Mail(kind="x", to="mara@acme.example", last_error="451 try later", **since).save()
    faults = {
        "Rename of Acme Corp failed 5 times": ("a disk is full", "Try again"),
        "Cluster main is full": ("40,000 of 40,000 collections and indexes", None),
        "1 e-mail can’t leave": ("mara@acme.example", "Try all now"),
    }
    first = desk.get("/operator")
    for title, (sign, remedy) in faults.items():
        [row] = [row for row in first.html.select(".needs > ul > li") if title in row.text]
        pages = [first, *(desk.get(link["href"]) for link in row.select(".ways a"))]
        assert all(page.status == 200 for page in pages)
        assert any(sign in page.text for page in pages), (title, row.text)
        buttons = {button.text.strip() for page in pages for button in page.html.select("button")}
        assert remedy is None or remedy in buttons, (title, buttons)


def test_mails_that_do_not_leave_are_told_with_the_reason(desk, cared_for):
    waiting = {"created_at": clock.now() - timedelta(hours=2), "due_at": clock.now()}
    Mail(kind="x", to="mara@acme.example", last_error="451 try later", **waiting).save()
    [need] = told(desk)
    assert "1 e-mail can’t leave" in need
    assert "451 try later" in need


def test_the_outbox_tells_a_reason_in_a_sentence_and_as_it_was(desk):
    raised = "SMTPDataError: (451, b'4.7.1 <b>Later</b>')"
    waiting = {"created_at": clock.now(), "due_at": clock.now(), "attempt": 2}
    Mail(kind="x", to="mara@acme.example", last_error=raised, **waiting).save()
    page = desk.get("/operator/outbox")
    assert "The mail server refused the mail: 451 4.7.1 <b>Later</b>" in page.text
    assert page.html.select_one("details code").get_text() == raised


def test_a_process_that_was_killed_is_told_until_another_takes_its_place(desk, cared_for):
    a_process("web-2", beat_at=clock.now() - timedelta(minutes=3))
    [need] = told(desk)
    assert "A portal on web-2 stopped" in need
    assert "3 minutes ago" in need
    a_process("web-2", started_at=clock.now(), beat_at=clock.now())
    assert told(desk) == []


def test_a_process_that_ends_as_it_should_is_not_missed(desk, cared_for, heart):
    other = Heart("1.0", traffic.take)
    other.wake()
    other.beat()
    assert Process.objects.count() == 2
    heart.end()
    heart.beat()
    assert Process.objects.count() == 1
    assert told(desk) == []


def test_an_operator_has_a_killed_process_told_no_more(desk, cared_for, master_db):
    killed = a_process("web-2", beat_at=clock.now() - LONG_AGO)
    path = f"/operator/runners/{killed.id}/forget"
    assert desk.post(path, form_at="/operator").status == 303
    assert told(desk) == []
    event = master_db.audit_events.find_one({"action": "process.forgotten"})
    assert (event["actor_kind"], event["details"]["host"]) == ("operator", "web-2")


def test_without_any_runner_that_is_what_needs_somebody(desk, cared_for):
    Process.objects.delete()
    [need] = told(desk)
    assert "No runner runs" in need


@pytest.mark.parametrize(
    ("loop", "words"),
    [
        (Loop("sender", long_turns=False, begun_at=-1e6), "hangs for"),
        (
            Loop("sender", long_turns=False, ended=True, error="SystemExit: 1"),
            "has ended: SystemExit",
        ),
        (Loop("sender", long_turns=False, failing_since=-1e6, error="OSError: x"), "OSError: x"),
    ],
)
def test_a_loop_that_gets_nothing_done_is_told(desk, cared_for, heart, loop, words):
    background.LOOPS.append(loop)
    heart.beat()
    [need] = told(desk)
    assert "“sender” gets nothing done" in need
    assert words in need


def test_a_loop_whose_thread_is_gone_says_so(heart):
    def leaving():
        raise SystemExit(1)

    loop = Loop("leaving", long_turns=False)
    background.LOOPS.append(loop)
    with pytest.raises(SystemExit):
        background._run(loop, leaving, 1, once=False)
    heart.beat()
    [told] = Process.objects.get().loops
    assert (told.name, told.ended, told.error) == ("leaving", True, "SystemExit: 1")


def test_work_that_may_take_hours_does_not_hang(desk, cared_for, heart):
    background.LOOPS.append(Loop("jobs", long_turns=True, begun_at=-1e6))
    heart.beat()
    assert told(desk) == []


def test_what_the_doctor_found_is_told_by_kind_and_shown_whole(desk, cared_for):
    kind = Kind("stray", "Collections that belong to nobody", "Look into them.")

    def strays():
        yield Finding(kind, "org_lost", "1,204 documents")
        yield Finding(kind, "org_found", "2 documents")
        yield Finding(Kind("aside", "Not harmful", "", harmless=True), "x", "y")

    keeping.examine_and_keep((strays,))
    [need] = told(desk)
    assert "Collections that belong to nobody 2, such as org_lost" in need
    page = desk.get("/operator/doctor")
    assert "org_found" in page.text
    assert "Look into them." in page.text
    assert "Not harmful" in page.text


def test_a_check_that_breaks_off_keeps_what_it_found_and_is_told(desk, cared_for):
    def breaking():
        raise AutoReconnect("connection closed")

    keeping.examine_and_keep((breaking, nothing))
    [need] = told(desk)
    assert "Doctor: not looked at yet" in need
    assert "connection closed" in need


def test_an_operator_has_the_doctor_examine_at_once(desk, cared_for, master_db):
    PeriodicTask.objects(id="doctor").update(set__due_at=clock.now() + timedelta(hours=1))
    assert desk.post("/operator/doctor/examine", form_at="/operator/doctor").status == 303
    assert PeriodicTask.objects.get(id="doctor").due_at <= clock.now()


def test_support_sees_all_of_it_and_no_button(desk_of, cared_for):
    desk = desk_of(OperatorRole.SUPPORT)
    killed = a_process("web-2", beat_at=clock.now() - LONG_AGO)
    page = desk.get("/operator")
    assert "A portal on web-2 stopped" in page.text
    assert not page.html.select(".needs form")
    path = f"/operator/runners/{killed.id}/forget"
    assert desk.send(path, {"csrf_token": desk.token("/account/profile")}).status == 403


def test_a_failed_operation_is_undone_from_the_first_page(desk, cared_for, master_db):
    acme = an_organization("Acme Corp")
    master_db.slugs.insert_one({"_id": "other", "organization": acme.id, "state": "target"})
    begin(acme, master_db, attempt=5, last_error="a disk is full", collection="org_other")
    page = desk.get("/operator")
    words = [button.get_text() for button in page.html.select(".needs button")]
    assert words == ["Try again", "Undo rename"]
    path = page.html.select(".needs form")[1]["action"]
    answer = desk.post(path, form_at="/operator")
    assert answer.location == "/operator/operations"
    assert "Acme Corp is as before." in desk.get("/operator/operations").text
    assert told(desk) == []
    assert master_db.slugs.find_one({"_id": "other"}) is None


def test_a_failed_operation_is_tried_again_from_the_first_page(desk, cared_for, master_db):
    acme = an_organization("Acme Corp")
    master_db.slugs.insert_one({"_id": "other", "organization": acme.id, "state": "target"})
    begin(acme, master_db, attempt=5, last_error="a disk is full", collection="org_other")
    path = desk.get("/operator").html.select_one(".needs form")["action"]
    key = desk.hidden("/operator")
    assert desk.send(path, key).status == 303
    assert desk.send(path, key).location == "/operator/operations"  # the second click
    assert "It is done: Other is active." in desk.get("/operator/operations").text
    assert fresh(acme).slug == "other"
    trail = desk.get(f"/operator/organizations/{acme.id}/activity").text
    assert "Tried again, after attempt 5: rename" in trail
    assert "by the operator" in desk.get(f"/operator/organizations/{acme.id}").text


def test_two_operators_who_undo_the_same_undo_it_once(desk_of, cared_for, master_db):
    acme = an_organization("Acme Corp")
    master_db.slugs.insert_one({"_id": "other", "organization": acme.id, "state": "target"})
    begin(acme, master_db, attempt=5, last_error="a disk is full", collection="org_other")
    path = f"/operator/operations/{acme.id}/{acme.id}/undo"
    first, second = desk_of(), desk_of(email="ops.other@portal.example")
    sent = [(desk, desk.hidden("/operator")) for desk in (first, second)]
    answers = [desk.send(path, hidden) for desk, hidden in sent]
    assert [answer.status for answer in answers] == [303, 409]
    assert "has ended" in answers[1].text


def test_all_that_runs_is_on_one_page(desk, cared_for, master_db):
    begin(an_organization("Acme Corp"), master_db, attempt=2, last_error="<b>a disk is full</b>")
    a_job("Import of <i>files</i>", state="failed", reason="no room", ended_at=clock.now())
    a_job("Moves to fra-2", state="running", open=True)
    page = desk.get("/operator/operations")
    assert page.status == 200
    told = [table.caption.get_text() for table in page.html.select("table")]
    assert told == ["Lifecycle operations", "Jobs", "Runners"]
    assert "&lt;b&gt;a disk is full&lt;/b&gt;" in page.response.text
    assert "Import of <i>files</i>" in page.text


def test_a_failed_job_of_operators_is_told_for_a_week(desk, cared_for):
    a_job("Moves to fra-2", state="failed", reason="no room", ended_at=clock.now())
    a_job("Moves to fra-1", state="failed", ended_at=clock.now() - timedelta(days=8))
    a_job("An import", state="failed", ended_at=clock.now(), organization=ObjectId())
    assert told(desk) == ["Failed: Moves to fra-2 failed no room Jobs"]


def test_a_job_that_does_not_get_on_is_told_and_one_that_waits_on_purpose_is_not(desk, cared_for):
    at, acme = clock.now(), an_organization("Acme Corp")
    long_ago, soon = at - timedelta(hours=2), at + timedelta(seconds=20)
    old = {"state": "running", "open": True, "created_at": long_ago, "due_at": soon}
    stood = {"since": long_ago, "moved_at": long_ago, "step": "Writing", "note": "record 7"}
    a_job("Hung", **old, attempt=1, organization=acme.id, progress=stood)
    a_job("Gets on", **old, attempt=1, progress={"since": long_ago, "moved_at": at})
    a_job("Begun again", **old, attempt=2, progress={"since": at, "moved_at": long_ago})
    tried = {"last_error": "AutoReconnect: no cluster", "progress": {"since": at}}
    a_job("Tried", **old, attempt=99, **tried)
    a_job("Waits", **old, attempt=9, waits=True, last_error="It is in the trash.")
    lost = old | {"due_at": long_ago}
    a_job("Lost", **lost, attempt=9, waits=True, last_error="It is in the trash.")
    a_job("Nobody’s", **old | {"due_at": long_ago})
    told_of = {need.removeprefix("Attention: ").split(" hasn’t")[0]: need for need in told(desk)}
    assert set(told_of) == {"Hung", "Tried", "Lost", "Nobody’s"}
    assert "Hung hasn’t moved for 2 hours No movement for 2 hours" in told_of["Hung"]
    assert "Writing" not in told_of["Hung"]  # it is at what its note says
    assert "after AutoReconnect: no cluster" in told_of["Tried"]
    link = desk.get("/operator").html.select_one(".needs .ways a")["href"]
    page = desk.get(link)
    assert "no movement for 2 hours: its process is alive, at record 7" in page.text
    assert page.html.find("button", string="Cancel")


def test_of_jobs_that_do_not_get_on_the_oldest_are_told_and_no_more_is_read(
    master_db, app, commands
):
    at = clock.now()
    for hours in range(1, 7):
        a_job(f"{hours} h", state="running", created_at=at - timedelta(hours=hours), due_at=at)
    large = {"lines": "x" * 3_000_000}  # more than one reply holds, of all
    master_db.jobs.update_many({}, {"$set": {"result": large}})
    commands.clear()
    found = together.read(sources.jobs(at))
    assert commands == ["aggregate", "aggregate"]  # what is told, and how many there are
    assert [need.title.split()[0] for need in found.needs] == ["6", "5", "4", "3", "2"]
    assert found.number == 6


@pytest.mark.parametrize(
    ("act", "state", "then"),
    [
        ("pause", "running", "paused"),
        ("resume", "paused", "running"),
        ("cancel", "running", "cancelled"),
    ],
)
def test_a_job_is_paused_resumed_and_cancelled(desk, cared_for, act, state, then):
    job = a_job("Moves to fra-2", state=state, open=True)
    path = f"/operator/jobs/{job.id}/{act}"
    assert desk.post(path, form_at="/operator/operations").status == 303
    assert Job.objects.get(id=job.id).state == then


def test_mails_that_wait_are_tried_at_once(desk, cared_for, master_db):
    later = {"created_at": clock.now(), "due_at": clock.now() + timedelta(hours=1)}
    failed = Mail(kind="purge_near", to="mara@acme.example", last_error="451", **later).save()
    page = desk.get("/operator/outbox")
    assert "mara@acme.example" in page.text
    assert desk.post("/operator/outbox/retry", form_at="/operator/outbox").status == 303
    assert Mail.objects.get(id=failed.id).due_at <= clock.now()
    event = master_db.audit_events.find_one({"action": "mails.retried"})
    assert event["details"] == {"count": "1"}


def test_a_policy_is_put_into_force_and_a_faulty_one_is_shown_again(desk, cared_for):
    page = desk.get("/operator/placement")
    text = page.html.textarea.get_text().lstrip("\n")
    better = text.replace("full_at_percent = 95", "full_at_percent = 90")
    assert desk.post("/operator/placement", {"text": better}).status == 303
    assert policies.current_policy().guard.full_at_percent == 90
    refused = desk.post("/operator/placement", {"text": "[[place]]\nstrategy = 7\n# mine"})
    assert refused.status == 422
    assert "rule 1, strategy" in refused.text
    assert "# mine" in refused.html.textarea.get_text()
    assert refused.html.textarea.get_text().count("\n") >= 2


@pytest.mark.parametrize("letter", ["a", "é", "字", "🛰"])
def test_a_policy_may_be_as_long_as_is_told(desk, program_of, cared_for, letter):
    """By the page and by a program that escapes each character."""
    text = (policies.DEFAULT + "# ").ljust(policies.LONGEST_TEXT, letter)
    body = {"version": 0, "text": text}
    program = program_of(OperatorRole.ADMIN)
    assert program.put("/admin/placement/policy", body).status_code == 200
    assert policies.current_text()[1] == text
    changed = text.replace("full_at_percent = 95", "full_at_percent = 90")
    assert desk.post("/operator/placement", {"text": changed}).status == 303
    longer = {"version": 2, "text": text + letter}
    assert program.put("/admin/placement/policy", longer).status_code == 422


def test_it_is_told_how_many_moves_of_a_day_were_begun(desk, cared_for, command):
    text = policies.DEFAULT.replace("a_day = 100 ", "a_day = 1 ")
    assert desk.post("/operator/placement", {"text": text}).status == 303
    a_move(an_organization("Kestrel"), drain=BY_POLICY)
    page = desk.get("/operator/placement")
    assert "of 1 in 24 hours 1 were begun" in page.text
    assert "No more should today" in page.text
    assert "Of 1 moves in 24 hours 1 were begun." in command("placements", "proposals").stderr


def test_of_two_who_change_the_policy_one_is_told(desk, cared_for):
    mine, text = desk.hidden("/operator/placement"), policies.DEFAULT
    assert desk.post("/operator/placement", {"text": text + "# theirs"}).status == 303
    refused = desk.send("/operator/placement", {**mine, "text": text + "# mine"})
    assert refused.status == 409
    assert "version 1 meanwhile" in refused.text
    assert policies.current_text()[1].endswith("# theirs")


def test_support_reads_the_policy_and_changes_nothing(desk_of, cared_for):
    desk = desk_of(OperatorRole.SUPPORT)
    page = desk.get("/operator/placement")
    assert "full_at_percent = 95" in page.html.pre.get_text()
    token = {"csrf_token": desk.token("/account/profile")}
    sent = {**token, "version": "0", "text": policies.DEFAULT}
    assert desk.send("/operator/placement", sent).status == 403
    assert policies.current_text()[0] == 0


def read(days_ago, collections, cluster="main"):
    """A reading of the cluster."""
    at = clock.now() - timedelta(days=days_ago)
    capacity.store(
        cluster,
        Reading(at, collections, collections, 10, 900, max_open_files=64_000, memory_bytes=2**35),
    )


def test_a_cluster_that_will_be_full_is_told_with_the_day(desk, cared_for):
    read(20, 16_000)
    read(0, 18_000)  # 38,000 of 40,000 files, at 200 files a day
    [need] = told(desk)
    day = clock.now() + timedelta(days=10)
    assert f"Cluster main is full on {day:%-d %B}" in need
    assert "At 100 new organizations a day" in need
    way = desk.get("/operator").html.find("a", string="Plan moves")["href"]
    assert desk.get(way).status == 200
    assert "cluster=main" in way
    page = desk.get("/operator/capacity")
    assert page.html.select_one("svg.chart .forecast")
    assert "Figures as a table" in page.text


def test_less_than_a_week_tells_no_day(desk, cared_for):
    read(3, 10_000)
    read(0, 12_000)
    assert told(desk) == []
    assert "A forecast takes a week of readings" in desk.get("/operator/capacity").text


def test_a_day_without_a_reading_is_a_gap_in_the_chart(desk, cared_for):
    for ago in (5, 4, 2, 1, 0):
        read(ago, 10_000)
    page = desk.get("/operator/capacity")
    assert len(page.html.select("svg.chart.wide-only .line")) == 2
    rows = [row.get_text(" ", strip=True) for row in page.html.select(".figures tbody tr")]
    assert any("not measured" in row for row in rows)


def test_a_cluster_that_does_not_answer_is_told_since_when(desk, cared_for, master_db):
    added = {"identity": ObjectId(), "added_at": clock.now(), "weight": 1, "placed": 0}
    master_db.clusters.insert_one({"_id": "fra-2", "uri": b"", **added})
    forget_registry()
    read(0, 10_000, "fra-2")
    notes = {"fra-2": "it does not answer"}
    PeriodicTask.objects(id="capacity").update(set__notes=notes)
    [need] = told(desk)
    assert need.startswith("Failed: Cluster fra-2 can’t be reached It does not answer.")
    assert "Its figures are of" in need
    forget_registry()


def test_a_listing_that_stays_behind_is_told(desk, cared_for, master_db):
    acme = an_organization("Acme Corp")
    long_ago = ObjectId.from_datetime(clock.now() - timedelta(minutes=9))
    master_db.organizations.update_one({"_id": acme.id}, {"$set": {"unlisted": long_ago}})
    [need] = told(desk)
    assert "The list of organizations is behind" in need


def test_metering_that_broke_does_not_look_like_no_use(desk, cared_for):
    PeriodicTask.objects(id="usage").update(
        set__done_at=clock.now() - LONG_AGO, set__last_error="OSError: no"
    )
    [need] = told(desk)
    assert "Use of organizations: not looked at since" in need
    assert "OSError: no" in need


def test_sign_ups_are_counted_by_day_and_a_day_nobody_counted_is_a_gap(cared_for):
    an_organization("Acme Corp")
    now = clock.now()
    InstallationDay.objects(id=f"{now - timedelta(days=3):%Y-%m-%d}").delete()
    days = figures.look(now).sign_ups
    assert len(days) == 30
    assert [days[-1].number, days[-2].number, days[-4].number] == [1, 0, None]
    census.count_all(lambda: None)
    assert figures.look(now).sign_ups[-4].number == 0


def test_operations_are_counted_to_a_thousand_however_many_run(app):
    now = clock.now()
    operation = {"lease_until": now, "last_error": "AutoReconnect"}
    ids = [ObjectId() for _ in range(1002)]
    rows = [{"_id": one, "slug": str(one), "operation": operation} for one in ids]
    Organization._get_collection().insert_many(rows)
    counted = figures.look(now)
    assert (counted.running_counted, counted.failed_counted) == ("1,000+", "1,000+")
    Organization._get_collection().delete_many({"_id": {"$in": ids[:999]}})
    counted = figures.look(now)
    assert (counted.running_counted, counted.failed_counted) == ("3", "3")


def test_the_first_page_reads_no_collection_whole_that_grows(desk, cared_for, master_db):
    """So it costs the same among a million organizations as among three."""
    for number in range(6):
        begin(an_organization(f"Acme {number}"), master_db, attempt=5, last_error="no")
    part = joined(sources.looking(), figures.looking(clock.now()), reading.reading_loudest())
    reads, seen, whole = next(part), 0, set()
    with suppress(StopIteration):
        while True:
            for one in reads:
                name, seen = one.document._get_collection_name(), seen + 1
                hint = {"hint": one.hint} if one.hint else {}
                command = {"aggregate": name, "pipeline": one.stages, "cursor": {}, **hint}
                explained = master_db.command("explain", command, verbosity="queryPlanner")
                if "COLLSCAN" in str(explained):
                    whole.add(name)
            answers = [one.document._get_collection().aggregate(one.stages) for one in reads]
            reads = part.send(list(map(list, answers)))
    assert whole <= {"processes", "periodic_tasks", "doctor_checks", "clusters", "usage_rollup"}
    assert seen > 15


def test_the_first_page_takes_few_commands_however_much_is_amiss(
    desk, cared_for, master_db, commands
):
    desk.get("/operator")
    commands.clear()
    desk.get("/operator")
    quiet = len(commands)
    for number in range(6):
        begin(an_organization(f"Acme {number}"), master_db, attempt=5, last_error="no")
    commands.clear()
    assert len(told(desk)) == 6
    assert quiet <= len(commands) <= 8
