"""Names that are in the way, and names that were somebody else's before."""

from datetime import timedelta

import pytest

from portal import clock
from portal.documents.organizations import Organization
from tests.faults.invariant import picture
from tests.program import Program
from tests.visitor import Visitor

STRANGERS = {
    "a collection": lambda db: db.org_other.insert_one({"_id": 1, "theirs": True}),
    "an empty one": lambda db: db.create_collection("org_other"),
    "a capped one": lambda db: db.create_collection("org_other", capped=True, size=4096),
    "a view": lambda db: db.create_collection("org_other", viewOn="elsewhere", pipeline=[]),
}


def a_program(app, name="Acme Corp", email="mara@acme.example"):
    program = Program(app)
    assert program.sign_up(name, email).status_code == 201
    program.log_in(email)
    return program


def sign_up(mara):
    return Program(mara.app).sign_up("Other", "dispatch@other.example")


def create(mara):
    return mara.post("/org/create", {"organization_name": "Other"})


def rename(mara):
    return mara.put("/org/update/acme-corp", {"new_organization_name": "Other"})


def restore(mara):
    [trashed] = mara.get("/org/trash").json["trash"]
    return mara.post(f"/org/trash/{trashed['id']}/restore", {"organization_name": "Other"})


def what_there_is(tenant_db):
    return sorted(tenant_db.list_collections(), key=lambda found: found["name"])


DEEDS = [sign_up, create, rename, restore]
# Each once; the other pairs are left to make faults.
PAIRS = [
    pytest.param(deed, stranger, id=f"{deed.__name__}, {name}", marks=() if n == m else pytest.mark.full)
    for n, (name, stranger) in enumerate(STRANGERS.items())
    for m, deed in enumerate(DEEDS)
]  # fmt: skip


@pytest.mark.attack("N3")
@pytest.mark.parametrize(("deed", "stranger"), PAIRS)
def test_what_has_the_collections_name_stops_everything_and_is_never_touched(
    app, tenant_db, master_db, admin, log, deed, stranger
):
    """The operator is told."""
    mara = a_program(app)
    mara.app = app
    if deed is restore:
        assert mara.delete("/org/delete/acme-corp").status_code == 200
    stranger(admin[tenant_db.name])
    collections = what_there_is(tenant_db)
    documents = list(tenant_db.org_other.find())
    before = claims_and_people(master_db)
    answer = deed(mara)
    assert (answer.status_code, answer.json["error"]["code"]) == (409, "name_taken")
    assert what_there_is(tenant_db) == collections
    assert list(tenant_db.org_other.find()) == documents
    assert claims_and_people(master_db) == before
    assert not Organization.objects(operation__exists=True)
    [told] = log.named("operation.turned_back")
    assert told["level"] == "error"


def claims_and_people(master_db):
    """All but the trail, where what failed on an organization that stays is told, and its mark for
    the console's listing."""
    left_out = (
        "audit_head",
        "unlisted",
        "turned_back",
        "membership_changes",
        "version",
        "version_at",
    )
    return {
        name: list(master_db[name].find({}, dict.fromkeys(left_out, 0)).sort("_id", 1))
        for name in ("organizations", "slugs", "memberships", "accounts")
    }


@pytest.fixture
def renamed(app, visitor):
    """Mara's organization, Other, which was Acme Corp before: her browser and her program."""
    visitor.sign_up("Acme Corp", "mara@acme.example")
    visitor.post("/organizations/acme-corp/rename", {"organization_name": "Other"})
    program = Program(app)
    program.log_in("mara@acme.example")
    return visitor, program


@pytest.mark.attack("N4")
@pytest.mark.parametrize("part", ["", "/rename", "/delete", "/activity"])
def test_an_old_address_is_nothing_to_strangers(app, renamed, part):
    stranger = Visitor(app)
    stranger.sign_up("Kestrel", "dispatch@kestrel.example")
    answer = stranger.get(f"/organizations/acme-corp{part}")
    never_was = stranger.get(f"/organizations/never-was{part}")
    assert answer.status == 404
    told = never_was.text.replace("never-was", "acme-corp")
    assert answer.text.partition("Request")[0] == told.partition("Request")[0]
    assert Visitor(app).get(f"/organizations/acme-corp{part}").status == 303  # to log in


@pytest.mark.attack("N4")
def test_an_old_address_is_nothing_to_strangers_programs(app, renamed, master_db, tenant_db):
    stranger = a_program(app, "Kestrel", "dispatch@kestrel.example")
    before = picture(master_db, tenant_db)
    for answer in (
        stranger.get("/org/acme-corp"),
        stranger.put("/org/update/acme-corp", {"new_organization_name": "Mine"}),
        stranger.delete("/org/delete/acme-corp"),
        stranger.delete("/org/delete/acme-corp?purge=true"),
        stranger.delete("/org/delete", {"organization_name": "Acme Corp"}),
    ):
        assert (answer.status_code, answer.json["error"]["code"]) == (404, "not_found")
        assert "Link" not in answer.headers
    assert picture(master_db, tenant_db) == before


@pytest.mark.attack("N4")
def test_the_way_from_an_old_address_is_kept_by_no_cache(renamed):
    """A browser keeps a 301 for ever, when the name is another's long since."""
    visitor, _ = renamed
    for page in ("", "/rename", "/delete", "/activity", "/settings"):
        answer = visitor.get(f"/organizations/acme-corp{page}")
        assert (answer.status, answer.location) == (307, f"/organizations/other{page}")
        assert answer.response.headers["Cache-Control"] == "no-store"


@pytest.mark.attack("N4")
def test_nothing_is_deleted_by_an_old_address(renamed, master_db, tenant_db):
    visitor, program = renamed
    before = picture(master_db, tenant_db)
    place = "/organizations/acme-corp"
    for path in (f"{place}/delete", f"{place}/purge"):
        fields = {"confirm_name": "Other"}
        answer = visitor.post(path, fields, form_at="/organizations/other/delete")
        assert answer.status in (404, 409)
    for answer in (
        program.delete("/org/delete/acme-corp"),
        program.delete("/org/delete/acme-corp?purge=true"),
        program.delete("/org/delete", {"organization_name": "Acme Corp"}),
    ):
        assert (answer.status_code, answer.json["error"]["code"]) == (409, "organization_renamed")
    assert picture(master_db, tenant_db) == before


@pytest.mark.attack("N4")
def test_an_old_address_is_its_new_holders_alone(app, renamed, time_machine):
    """Who had it before is a stranger there, and led nowhere."""
    visitor, program = renamed
    time_machine.move_to(clock.now() + timedelta(days=31))
    visitor.log_in("mara@acme.example")
    program.token = None  # it ended long since
    program.log_in("mara@acme.example")
    holder = a_program(app, "Acme Corp", "holder@new.example")
    assert visitor.get("/organizations/acme-corp").status == 404
    assert program.get("/org/acme-corp").status_code == 404
    assert program.delete("/org/delete/acme-corp").status_code == 404
    assert program.get("/org/other").status_code == 200
    seen = holder.get("/org/acme-corp")
    assert (seen.status_code, "Link" in seen.headers) == (200, False)
    assert seen.json["organization"]["organization_name"] == "Acme Corp"
    assert holder.delete("/org/delete/acme-corp").status_code == 200
    assert program.get("/org/other").status_code == 200
