"""By its id a program finds an organization whatever its name and state."""

import pytest

from portal.database import directory
from portal.documents.memberships import Role
from portal.documents.organizations import Organization
from portal.organizations.lifecycle.trashing import purge_organization, trash_organization
from portal.permissions import FOR_API_KEYS
from tests.factories import a_context, a_key, a_member, an_organization, fresh, verify
from tests.program import Program, fault


@pytest.fixture
def acme(owner):
    return Organization.objects.get(slug="acme-corp")


@pytest.fixture
def here(acme):
    return f"/org/by-id/{acme.id}"


def test_every_path_of_a_name_goes_by_id(owner, acme, here):
    verify()
    assert owner.get(here).json["organization"]["slug"] == "acme-corp"
    for path in ("/members", "/invitations", "/keys", "/audit", "/placement"):
        assert owner.get(here + path).json == owner.get(f"/org/acme-corp{path}").json, path
    renamed = owner.put(
        f"/org/update/by-id/{acme.id}", {"new_organization_name": "Acme & Daughters"}
    )
    assert renamed.json["organization"]["slug"] == "acme-daughters"
    assert owner.get(here).json["organization"]["slug"] == "acme-daughters"
    assert owner.delete(f"/org/delete/by-id/{acme.id}").json["trash"]["id"] == str(acme.id)


def test_an_encoded_slash_means_the_same(owner, acme):
    assert owner.get(f"/org/by-id%2F{acme.id}").json["organization"]["id"] == str(acme.id)


def test_a_name_with_a_slash_is_reached_by_slug_and_id_alone(owner, acme, app):
    Organization.objects(id=acme.id).update(name="AC/DC")
    for slash in ("/", "%2F"):
        assert owner.get(f"/org/AC{slash}DC").status_code == 404
    for reached in (acme.slug, f"by-id/{acme.id}"):
        assert owner.get(f"/org/{reached}").json["organization"]["id"] == str(acme.id)
    about = app.extensions["openapi"].text
    assert "A name with a slash is in no path" in about


@pytest.mark.parametrize(
    "text", ["", "/", "/x", "/507f1f77bcf86cd79943901", "/507F1F77BCF86CD799439011", "/by-id"]
)
def test_what_is_no_id_is_not_found(owner, text):
    assert owner.get(f"/org/by-id{text}").status_code == 404


@pytest.mark.attack("N5")
def test_an_id_where_a_name_belongs_leads_nowhere(owner, acme):
    assert fault(owner.get(f"/org/{acme.id}"))[:2] == (404, "not_found")
    assert fault(owner.delete(f"/org/delete/{acme.id}"))[:2] == (404, "not_found")
    assert Organization.objects.get(id=acme.id).slug == "acme-corp"


@pytest.mark.attack("T1")
def test_anothers_id_is_as_if_there_were_none(owner, acme):
    other = an_organization("Other")
    for path in ("", "/placement", "/members"):
        assert fault(owner.get(f"/org/by-id/{other.id}{path}"))[:2] == (404, "not_found")
    key = Program(owner.client.application, a_key(acme))
    assert key.get(f"/org/by-id/{acme.id}/placement").status_code == 200
    assert key.get(f"/org/by-id/{other.id}/placement").status_code == 404


def test_in_the_trash_it_says_so(owner, acme, here):
    trash_organization(acme, None, a_context())
    for path in ("", "/members"):
        assert fault(owner.get(here + path))[:2] == (409, "organization_trashed")
    told = owner.get(f"{here}/placement").json["organization"]
    assert (told["state"], told["placement"]["collection"]) == ("trashed", f"trash_{acme.id}")


def test_when_purged_it_tells_who_owned_it(owner, acme, here, app):
    teo = a_member(acme, Role.VIEWER)
    purge_organization(fresh(acme), None, a_context())
    assert fault(owner.get(here))[:2] == (409, "organization_purged")
    assert owner.get(f"{here}/placement").json["organization"]["state"] == "purged"
    stranger = Program(app)
    stranger.log_in(teo.email)
    assert stranger.get(f"{here}/placement").status_code == 404


def test_a_placement_is_what_the_directory_says(owner, acme, master_db):
    entry = master_db[directory.ORGANIZATIONS].find_one(acme.id)
    answer = owner.get("/org/acme-corp/placement")
    assert answer.headers["ETag"] == f'"{entry["epoch"]}-{entry["version"]}"'
    assert answer.json["organization"] == {
        "id": str(acme.id),
        "slug": "acme-corp",
        "state": "active",
        "version": entry["version"],
        "epoch": entry["epoch"],
        "placement": {
            "strategy": "collection",
            "cluster": "main",
            "database": "tenant_test",
            "collection": "org_acme_corp",
            "uuid": str(acme.placement.uuid),
            "pool": None,
        },
        "operation": None,
    }


def test_an_unchanged_placement_is_not_sent_again(owner, acme):
    place = "/org/acme-corp/placement"
    etag = owner.get(place).headers["ETag"]
    for sent in (etag, f"W/{etag}", f'"x", {etag[:-1]}-gzip"', "*"):
        again = owner.get(place, headers={"If-None-Match": sent})
        assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", etag)
    owner.put("/org/update/acme-corp", {"new_organization_name": "Other"})
    changed = owner.get(place, headers={"If-None-Match": etag})
    assert changed.json["organization"]["placement"]["collection"] == "org_other"
    assert changed.headers["Link"].endswith('/org/other/placement>; rel="canonical"')


def test_a_key_without_the_permission_sees_no_placement(owner, acme, app, here):
    [beside] = sorted(FOR_API_KEYS - {"organization.view"})[:1]
    key = Program(app, a_key(acme, role=None, permissions=[beside]))
    for path in (f"{here}/placement", "/org/acme-corp/placement"):
        assert fault(key.get(path))[:2] == (403, "forbidden")
