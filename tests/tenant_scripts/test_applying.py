"""A script reaches every organization once, and what became of each is kept."""

import threading
from importlib import import_module

import pytest

from portal.documents.jobs import Job, JobItem
from portal.documents.organizations import Organization, Strategy
from portal.documents.tenant_scripts import TenantScript
from portal.jobs import running
from portal.jobs.managing import cancel_job, find_job, latest_jobs, resume_job
from portal.organizations.lifecycle.renaming import rename_organization, restore_organization
from portal.organizations.lifecycle.trashing import purge_organization, trash_organization
from portal.organizations.storage import tenant_of
from tests.factories import a_context, an_organization, fresh
from tests.tenant_scripts.outcomes import COUNT, runs, states

pytestmark = pytest.mark.slow


def test_every_organization_gets_it_once_and_then_nothing_is_to_be_done(script, apply, some):
    organizations, path = some(12), script(COUNT)
    told = apply(path)
    assert told.returncode == 0
    assert told.stdout.splitlines()[1:] == [
        "canary  1 of 1",
        "1 %     1 of 1",
        "10 %    2 of 2",
        "rest    8 of 8",
        "Applied to 12 organizations in a moment, failed for 0.",
    ]
    assert [runs(one) for one in organizations] == [1] * 12
    again = apply(path)
    assert (again.returncode, again.stdout) == (
        0,
        "Nothing to do for add_status: done for 12 organizations.\n",
    )
    assert [runs(one) for one in organizations] == [1] * 12
    assert Job.objects.count() == 1


def test_only_those_are_reached_that_are_chosen(script, apply, some, master_db, tmp_path):
    organizations, path = some(6), script(COUNT)
    listed = tmp_path / "some.txt"
    listed.write_text(f"org-01  # by its slug\n\n{organizations[2].id}\n")
    assert apply(path, "--from-file", listed).returncode == 0
    assert apply(path, "-o", "org-03").returncode == 0
    master_db.organizations.update_one({"slug": "org-04"}, {"$set": {"plan": "gold"}})
    assert apply(path, "--plan", "gold").returncode == 0
    assert [runs(one) for one in organizations] == [0, 1, 1, 1, 1, 0]
    assert apply(path, "--strategy", "shared").stdout.startswith("Nothing to do")
    assert apply(path, "--strategy", "collection").returncode == 0
    assert [runs(one) for one in organizations] == [1] * 6


def test_an_unknown_organization_is_told_before_anything_is_applied(script, apply, some):
    some(2)
    told = apply(script(COUNT), "-o", "org-01", "-o", "nobody", "--canary", "org-00")
    assert told.returncode == 2
    assert "There is no organization nobody. Nothing was applied." in told.stderr
    assert not JobItem.objects


def test_status_and_dry_run_change_nothing(script, apply, some):
    organizations, path = some(4), script(COUNT)
    told = apply(path, "--dry-run")
    assert told.returncode == 0
    assert "add_status would be applied to 4 organizations:\ncanary  1\n" in told.stdout
    standing = apply(path, "--status")
    assert standing.returncode == 1
    assert "        4  not yet\n" in standing.stdout
    for written in (Job, JobItem, TenantScript):
        assert not written.objects
    assert [runs(one) for one in organizations] == [0] * 4
    apply(path)
    standing = apply(path, "--status")
    assert standing.returncode == 0
    assert "        4  have it\n" in standing.stdout


def test_an_organization_that_came_later_gets_it_by_the_next_run(script, apply, some):
    some(2)
    apply(script(COUNT))
    late = an_organization("Late")
    assert "        1  not yet\n" in apply(script(COUNT), "--status").stdout
    assert "applied to 1 organization" in apply(script(COUNT)).stdout
    assert runs(late) == 1


def test_one_made_while_it_runs_waits_for_the_next_run(script, apply, some, monkeypatch):
    some(2)
    made = []
    begin = running.acquire

    def acquire(job_id):
        made.extend([] if made else [an_organization("Late")])
        return begin(job_id)

    monkeypatch.setattr(running, "acquire", acquire)
    assert "Applied to 2 organizations" in apply(script(COUNT)).stdout
    assert [runs(one) for one in made] == [0]
    assert apply(script(COUNT)).returncode == 0
    assert [runs(one) for one in made] == [1]


def test_what_is_in_the_trash_is_left_out_and_told_until_it_is_restored(script, apply, some):
    trashed, other = an_organization("Gone"), an_organization("Here")
    trashed = trash_organization(trashed, trashed.name, a_context())
    told = apply(script(COUNT))
    assert told.returncode == 0
    assert "1 in the trash are left out" in told.stdout
    assert states() == {other.id: "done"}
    restored = restore_organization(fresh(trashed), trashed.name, a_context())
    assert apply(script(COUNT)).returncode == 0
    assert runs(restored) == 1


def test_one_that_is_trashed_meanwhile_is_left_to_a_later_run(script, apply, some, monkeypatch):
    organizations = [an_organization(f"Org {n}") for n in range(3)]
    find = Organization.objects

    real = tenant_of

    def of(organization):
        if organization.id == organizations[1].id and organization.state == "active":
            trash_organization(organization, organization.name, a_context())
        return real(find(id=organization.id).first())

    monkeypatch.setattr("portal.tenant_scripts.applying.tenant_of", of)
    told = apply(script(COUNT))
    assert told.returncode == 0
    assert "Applied to 2 organizations" in told.stdout
    assert organizations[1].id not in states()


def test_a_renamed_one_goes_on_under_its_new_name(script, apply, some, monkeypatch):
    organizations = [an_organization(f"Org {n}") for n in range(2)]
    real = tenant_of

    def of(organization):
        handle = real(organization)
        rename_organization(organization, f"{organization.name} Limited", a_context())
        return handle

    monkeypatch.setattr("portal.tenant_scripts.applying.tenant_of", of)
    assert apply(script(COUNT)).returncode == 0
    monkeypatch.undo()
    assert [runs(one) for one in organizations] == [1, 1]


def test_what_a_purged_one_had_is_forgotten(script, apply, some):
    first, second = an_organization("Gone"), an_organization("Here")
    apply(script(COUNT))
    trashed = trash_organization(first, first.name, a_context())
    purge_organization(fresh(trashed), trashed.name, a_context())
    assert set(states()) == {second.id}


def test_an_edited_script_is_refused_once_somebody_has_it(script, apply, some):
    organizations = some(3)
    broken = script("def apply(tenant): raise ValueError")
    assert apply(broken).returncode == 1
    assert apply(script(COUNT)).returncode == 0  # nobody had it, so it could be mended
    edited = script(COUNT + "        # more")
    for option in ([], ["--dry-run"]):
        told = apply(edited, *option)
        assert told.returncode == 2
        assert "add_status was edited since it was applied to 3 organizations" in told.stderr
        assert "a file of its own" in told.stderr
    late = an_organization("Late")
    assert apply(edited, "--edited").returncode == 0
    assert [runs(one) for one in (*organizations, late)] == [1] * 4
    assert apply(edited).returncode == 0


def test_a_script_checked_out_on_another_system_is_the_same(script, apply, some, tmp_path):
    some(1)
    path = script(COUNT)
    apply(path)
    content = (tmp_path / "add_status.py").read_bytes()
    for other in (b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n"), content.replace(b"\n", b"\r")):
        (tmp_path / "add_status.py").write_bytes(other)
        assert apply(path).stdout.startswith("Nothing to do")


def test_a_paused_job_is_not_resumed_by_the_way(script, apply, some, monkeypatch):
    monkeypatch.setattr(running, "RENEW_SECONDS", 0.02)
    organizations = some(12)
    stopping = """
        import threading
        from portal.jobs.managing import latest_jobs, pause_job
        from tests.factories import a_context

        def apply(tenant):
            tenant.update_one({"_id": "runs"}, {"$inc": {"n": 1}}, upsert=True)
            [job] = latest_jobs(9)
            if job.attempt == 1:
                pause_job(str(job.id), a_context())
                threading.Event().wait(0.2)
    """
    path = script(stopping)
    told = apply(path, "--workers", 1)
    assert told.returncode == 1
    [job] = latest_jobs(9)
    assert f"Paused. To go on: flask jobs resume {job.id}" in told.stdout
    assert sum(runs(one) for one in organizations) == 1  # what was in hand
    refused = apply(path)
    assert refused.returncode == 2
    assert "is paused" in refused.stderr
    resume_job(str(job.id), a_context())
    assert apply(path).returncode == 0
    assert [runs(one) for one in organizations] == [1] * 12
    assert find_job(job.id).state == "done"


def test_a_cancelled_job_ends_its_run_and_a_new_one_goes_on_with_the_rest(
    script, apply, some, monkeypatch
):
    monkeypatch.setattr(running, "RENEW_SECONDS", 0.02)
    organizations = some(8)
    path, done = script(COUNT), threading.Event()
    real = tenant_of

    def of(organization):
        if not done.is_set():
            done.set()
            [job] = latest_jobs(9)
            cancel_job(str(job.id), a_context())
        return real(organization)

    monkeypatch.setattr("portal.tenant_scripts.applying.tenant_of", of)
    told = apply(path, "--workers", 1)
    assert told.returncode == 1
    assert "Cancelled after" in told.stdout
    assert 1 <= sum(runs(one) for one in organizations) < 8
    assert apply(path).returncode == 0
    assert [runs(one) for one in organizations] == [1] * 8
    assert sorted(job.state for job in latest_jobs(9)) == ["cancelled", "done"]


def test_another_selection_or_content_does_not_slip_into_an_open_job(script, apply, some):
    some(3)
    path = script("def apply(tenant): raise KeyboardInterrupt")
    assert apply(path).returncode == 1
    told = apply(path, "-o", "org-00")
    assert told.returncode == 2
    assert "for other organizations" in told.stderr
    told = apply(script(COUNT))
    assert told.returncode == 2
    assert "with other content" in told.stderr
    assert "flask jobs cancel" in told.stderr


def test_one_whose_collection_is_gone_fails_alone(script, apply, some, tenant_db):
    some(4)
    tenant_db.drop_collection("org_org_02")
    told = apply(script(COUNT), "--max-failures", 100)
    assert told.returncode == 1
    assert "Applied to 3 organizations" in told.stdout
    assert (
        "  org-02  failed: line 3: The collection of Org 02 is not in the database" in told.stdout
    )
    assert sorted(states().values()) == ["done", "done", "done", "failed"]


def test_one_that_is_being_created_waits_for_the_next_run(script, apply, some, master_db):
    """As a sign-up leaves it whose process died before its collection had a name."""
    ready, creating = some(2)
    operation = {
        "id": creating.id, "kind": "create", "attempt": 1, "origin": {}, "collection": "org_org_01",
        "started_at": creating.created_at, "lease_until": creating.created_at,
    }  # fmt: skip
    as_it_is = {"$set": {"operation": operation}, "$unset": {"placement.uuid": ""}}
    master_db.organizations.update_one({"_id": creating.id}, as_it_is)
    told = apply(script(COUNT))
    assert told.returncode == 0
    assert states() == {ready.id: "done"}


def test_changes_that_were_half_done_are_done_by_a_script_that_was_mended(script, apply, some):
    organizations = some(3)
    half = """
        def apply(tenant):
            tenant.create_index("status")
            tenant.update_one({"_id": "runs"}, {"$inc": {"n": 1}}, upsert=True)
            raise ValueError("not yet")
    """
    assert apply(script(half)).returncode == 1
    assert "status_1" in tenant_of(organizations[0]).index_information()
    mended = half.replace('raise ValueError("not yet")', "pass")
    assert apply(script(mended)).returncode == 0
    assert set(states().values()) == {"done"}


@pytest.mark.parametrize(
    ("raised", "words"),
    [
        ("ValueError('\\ud800')", "ValueError: \\ud800"),
        ("ValueError('\\x1b[2J')", "ValueError: \\x1b[2J"),
        ("ValueError('x' * 10_000)", "ValueError: xxx"),
        ("Unspeakable()", "Unspeakable"),
        ("ValueError('$x', {'a.b': 1})", "ValueError: ('$x', {'a.b': 1})"),
    ],
)
def test_whatever_is_raised_one_organization_does_not_stop_the_others(
    script, apply, some, raised, words
):
    organizations = some(3)
    tenant_of(organizations[2]).insert_one({"_id": "globex"})
    text = f"""
        class Unspeakable(Exception):
            def __str__(self):
                raise RuntimeError

        def apply(tenant):
            if tenant.find_one({{"_id": "globex"}}):
                raise {raised}
    """
    told = apply(script(text), "--max-failures", 100)
    assert told.returncode == 1
    assert "Applied to 2 organizations" in told.stdout
    assert words in told.stdout
    assert "\x1b" not in told.stdout


def test_one_whose_documents_were_restored_gets_it_once_more(script, apply, some):
    organizations, path = some(3), script(COUNT)
    apply(path)
    tenant_of(organizations[1]).delete_many({})  # as they were in an older dump
    assert apply(path).stdout.startswith("Nothing to do")
    assert apply(path, "--again").returncode == 2
    assert apply(path, "--again", "-o", "org-01").returncode == 0
    assert [runs(one) for one in organizations] == [1, 1, 1]


def test_who_keeps_the_output_sees_that_it_goes_on(script, apply, some, monkeypatch):
    monkeypatch.setattr(import_module("portal.cli.progress_line"), "_LINE_EVERY_SECONDS", 0)
    some(5)
    told = apply(script(COUNT), "--workers", 1)
    assert told.stderr == ""
    lines = told.stdout.splitlines()
    assert "rest    0 of 2  org-03" in lines or "rest    1 of 2  " in lines
    assert "\r" not in told.stdout


def test_who_ends_the_command_is_told_how_to_go_on(script, apply, some):
    organizations = some(3)
    path = script("def apply(tenant): raise KeyboardInterrupt")
    told = apply(path)
    assert told.returncode == 1
    assert "Stopped. The same command goes on." in told.stdout
    [job] = latest_jobs(9)
    assert running.acquire(job.id)
    assert states() == {organizations[0].id: "running"}
    assert "        1  begun, not ended\n" in apply(path, "--status").stdout


@pytest.mark.parametrize("strategy", list(Strategy))
def test_a_script_for_documents_reaches_every_strategy(script, apply, strategy):
    organization = an_organization("Acme Corp", strategy=strategy)
    told = apply(script(COUNT))
    assert told.returncode == 0, told
    assert runs(organization) == 1


def test_what_a_shared_collection_does_not_take_is_no_failure(script, apply):
    """Told for the organization, not tried again there, and made up for when it has moved."""
    shared = an_organization("Shared", strategy=Strategy.SHARED)
    own = an_organization("Own")
    path = script("def apply(tenant): tenant.create_index('status')")
    told = apply(path)
    assert told.returncode == 0
    assert (
        "Applied to 1 organization in a moment, failed for 0, not applicable to 1." in told.stdout
    )
    assert states() == {shared.id: "not applicable", own.id: "done"}
    assert "done for 1 organization, not applicable to 1." in apply(path).stdout
    standing = apply(path, "--status")
    assert standing.returncode == 0
    assert "  shared  not applicable: line 1: " in standing.stdout
    placement = own.placement
    Organization.objects(id=shared.id).update_one(set__placement__strategy=placement.strategy)
    assert "        1  not yet\n" in apply(path, "--status").stdout


def test_a_validator_is_not_applicable_in_a_shared_collection(script, apply):
    an_organization("Shared", strategy=Strategy.SHARED)
    text = """
        from portal.tenant_scripts import set_validator

        def apply(tenant):
            set_validator(tenant, {"status": {"$type": "string"}})
    """
    assert "not applicable to 1" in apply(script(text)).stdout


def test_what_failed_is_tried_again_when_its_jobs_are_deleted(script, apply, some):
    """Jobs are kept for 90 days, what became of organizations is kept."""
    organizations = some(2)
    apply(script("def apply(tenant): raise ValueError"), "--max-failures", 100)
    Job.objects.delete()
    assert apply(script(COUNT)).returncode == 0
    assert [runs(one) for one in organizations] == [1, 1]
