"""A script goes out in waves; one that fails stops only itself, many stop the rest."""

import pytest

from portal.documents.jobs import JobItem
from portal.documents.organizations import Organization, Strategy
from portal.jobs import running
from portal.jobs.managing import find_job, latest_jobs
from portal.organizations.storage import tenant_of
from portal.tenant_scripts.waves import waves_of
from tests.factories import an_organization
from tests.faults.lapse import let_jobs_be_due
from tests.tenant_scripts.outcomes import COUNT, FAIL_FOR_GLOBEX, runs, states

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("total", "sizes"),
    [(0, []), (1, [1]), (2, [1, 1]), (5, [1, 1, 1, 2]), (1203, [1, 13, 121, 1068])],
)
def test_waves_grow_until_all_are_in_them(total, sizes):
    assert [wave.size for wave in waves_of(total)] == sizes


def test_the_waves_between_have_old_and_new_organizations(script, apply, some):
    organizations = some(20)
    apply(script(COUNT))
    chosen = [item.organization for item in JobItem.objects(wave=2)]
    places = sorted([one.id for one in organizations].index(one) for one in chosen)
    assert len(places) == 2
    assert places[1] - places[0] >= 8


def test_one_that_fails_stops_only_itself_and_is_told_and_tried_again(script, apply, some):
    organizations = some(30)
    globex = organizations[28]
    tenant_of(globex).insert_one({"_id": "globex"})
    told = apply(script(FAIL_FOR_GLOBEX))
    assert told.returncode == 1
    assert "Applied to 29 organizations" in told.stdout
    assert "  org-28  failed: line 4: ValueError: no status" in told.stdout
    assert states()[globex.id] == "failed"
    tenant_of(globex).delete_one({"_id": "globex"})
    again = apply(script(FAIL_FOR_GLOBEX))
    assert again.returncode == 0
    assert [runs(one) for one in organizations] == [1] * 30


def test_many_that_fail_for_one_reason_are_told_on_one_line(script, apply, some):
    some(9)
    told = apply(script("def apply(tenant): tenant.nonsense()"), "--max-failures", 100)
    [line] = [line for line in told.stdout.splitlines() if "failed: line" in line]
    assert line.startswith("  org-00, org-01, org-02, org-03, org-04 and 4 more  failed: line 1: ")


def test_a_failing_canary_stops_before_the_next_wave(script, apply, some):
    organizations = some(12)
    told = apply(script("def apply(tenant): raise ValueError('not here')"))
    assert told.returncode == 1
    assert "1 of the wave “canary” of 1 failed, 0 may" in told.stdout
    assert set(states()) == {organizations[0].id}
    [job] = latest_jobs(9)
    assert (job.state, job.result["failed"]) == ("failed", 1)


def test_a_named_canary_comes_first(script, apply, some):
    organizations = some(6)
    told = apply(script("def apply(tenant): raise ValueError"), "--canary", "org-03")
    assert told.returncode == 1
    assert set(states()) == {organizations[3].id}


def test_the_check_of_a_script_counts(script, apply, some):
    some(3)
    text = """
        def apply(tenant):
            pass

        def check(tenant):
            return tenant.find_one() is not None
    """
    told = apply(script(text))
    assert told.returncode == 1
    assert "its check returned False" in told.stdout


def test_slow_reads_of_the_portal_keep_the_gate_shut(script, apply, some):
    organizations = some(6)
    told = apply(script(COUNT), "--max-latency", 0)
    assert told.returncode == 1
    assert "behind the wave “canary” the portal's own reads take" in told.stdout
    assert sum(runs(one) for one in organizations) == 1
    assert apply(script(COUNT)).returncode == 0
    assert [runs(one) for one in organizations] == [1] * 6


def test_many_reasons_are_cut_and_told_by_status(script, apply, some):
    some(14)
    path = script("def apply(tenant): raise ValueError(str(tenant.id))")
    told = apply(path, "--max-failures", 100)
    assert told.stdout.count("ValueError") == 10
    assert "and for 4 other reasons: --status tells them" in told.stdout
    assert apply(path, "--status").stdout.count("ValueError") == 14


def test_at_most_so_many_begin_in_a_second(script, apply, some):
    some(6)
    begun = """
        import time
        times = []

        def apply(tenant):
            times.append(time.monotonic())
            tenant.insert_one({"at": times[-1]})
    """
    assert apply(script(begun), "--rate", 10, "--workers", 8).returncode == 0
    at = sorted(tenant_of(one).find_one()["at"] for one in Organization.objects)
    assert at[-1] - at[0] >= 0.3  # half a second, but for a slow first one


def test_a_canary_that_had_failed_when_its_process_died_still_stops_the_next_wave(
    script, apply, some, master_db, monkeypatch
):
    organizations = some(6)
    path = script("def apply(tenant): raise ValueError")

    def die(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(running, "_end", die)
        assert apply(path).returncode == 1
    [job] = latest_jobs(9)
    assert (job.state, set(states())) == ("running", {organizations[0].id})
    let_jobs_be_due(master_db)
    assert "of the wave “canary” of 1 failed" in apply(path).stdout
    assert find_job(job.id).state == "failed"
    assert set(states()) == {organizations[0].id}


def test_what_it_is_not_applicable_to_does_not_hide_failures(script, apply, some):
    some(1)
    for n in range(12):
        an_organization(f"Shared {n}", strategy=Strategy.SHARED)
    some_more = [an_organization(f"Own {n}") for n in range(2)]
    text = """
        def apply(tenant):
            tenant.list_indexes()
            if tenant.find_one({"_id": "globex"}):
                raise ValueError
            tenant.create_index("status")
    """
    for one in some_more:
        tenant_of(one).insert_one({"_id": "globex"})
    told = apply(script(text), "--max-failures", 20, "--workers", 1)
    assert told.returncode == 1
    assert "failed, 0 may" in told.stdout


def test_a_canary_is_one_of_those_that_are_chosen(script, apply, some):
    organizations = some(5)
    path = script(COUNT)
    told = apply(path, "-o", "org-01", "-o", "org-02", "--canary", "org-03", "--canary", "org-02")
    assert told.returncode == 0
    assert [runs(one) for one in organizations] == [0, 1, 1, 0, 0]
    assert JobItem.objects.get(wave=0).organization == organizations[2].id
    assert apply(path, "-o", "org-04", "--canary", "org-03").returncode == 0
    assert [runs(one) for one in organizations] == [0, 1, 1, 0, 1]


def test_a_wave_stops_as_soon_as_more_failed_than_may(script, apply, some):
    organizations = some(24)
    for one in organizations[12:]:
        tenant_of(one).insert_one({"_id": "globex"})
    told = apply(
        script(FAIL_FOR_GLOBEX), "--workers", 1, "--max-failures", 10, "--canary", "org-00"
    )
    assert told.returncode == 1
    failed = [state for state in states().values() if state == "failed"]
    assert 1 <= len(failed) <= 3
    assert "may" in told.stdout


def test_one_that_failed_is_not_tried_again_by_a_job_that_goes_on(script, apply, some, tmp_path):
    organizations = some(5)
    text = """
        from pathlib import Path

        def apply(tenant):
            tenant.update_one({"_id": "runs"}, {"$inc": {"n": 1}}, upsert=True)
            end = Path(__file__).with_name("end")
            if tenant.find_one({"_id": "end"}) and end.exists():
                end.unlink()
                raise KeyboardInterrupt
            if tenant.find_one({"_id": "globex"}):
                raise ValueError
    """
    (tmp_path / "end").touch()
    tenant_of(organizations[1]).insert_one({"_id": "globex"})
    tenant_of(organizations[3]).insert_one({"_id": "end"})
    for expected in (1, 1):
        told = apply(script(text), "--max-failures", 100, "--workers", 1)
        assert told.returncode == expected
    [job] = latest_jobs(9)
    assert (job.state, job.result["failed"], job.result["done"]) == ("done", 1, 4)
    assert [runs(one) for one in organizations] == [1, 1, 1, 2, 1]
