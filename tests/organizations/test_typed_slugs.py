"""Two names that are transcribed alike, and slugs that are typed."""

import pytest
from bson import ObjectId

from portal.documents.organizations import Organization, Slug
from tests.program import Program, fault
from tests.visitor import PASSWORD

NORTH, BACK = "北京", "背景"  # both are bei-jing
SIGN_UP = {"email": "mara@acme.example", "password": PASSWORD}


@pytest.fixture
def north(app):
    """A program of the organization 北京, at bei-jing."""
    program = Program(app)
    assert program.sign_up(NORTH, "wang@north.example").json["organization"]["slug"] == "bei-jing"
    program.log_in("wang@north.example")
    return program


@pytest.fixture
def back(app, north):
    """A program of the organization 背景, at bei-jing-2."""
    program = Program(app)
    body = {"organization_name": BACK, "slug": "bei-jing-2", **SIGN_UP}
    assert program.post("/org/create", body).status_code == 201
    program.log_in("mara@acme.example")
    return program


def test_a_form_offers_a_free_address_and_takes_it_with_one_press_more(visitor, north):
    answer = visitor.sign_up(BACK)
    assert answer.status == 409
    assert answer.fault("organization_name").startswith("The address bei-jing is taken")
    assert "bei-jing-2 is free" in answer.fault("organization_name")
    assert answer.value("slug") == "bei-jing-2"
    assert answer.html.find(id="slug").find_parent("details").has_attr("open")
    fields = {"organization_name": BACK, "slug": answer.value("slug"), **SIGN_UP}
    assert visitor.post("/signup", fields).location == "/organizations/bei-jing-2"
    assert Organization.objects.get(slug="bei-jing-2").placement.collection == "org_bei_jing_2"


def test_a_program_is_told_a_free_slug(app, north):
    answer = Program(app).sign_up(BACK)
    assert fault(answer) == (409, "name_taken", {"organization_name"})
    assert "Send bei-jing-2, which is free, or another as slug" in answer.json["error"]["message"]


def test_a_typed_slug_that_is_taken_is_refused_at_its_field(app, visitor, north):
    body = {"organization_name": "Acme", "slug": "bei-jing", **SIGN_UP}
    answer = Program(app).post("/org/create", body)
    assert fault(answer) == (409, "name_taken", {"slug"})
    page = visitor.post("/signup", body)
    assert "bei-jing-2 is free" in page.fault("slug")
    assert page.value("slug") == "bei-jing"
    assert not page.fault("organization_name")


@pytest.mark.parametrize("slug", ["Not a slug", "new", "507f1f77bcf86cd799439011", "a" * 64])
def test_a_slug_that_breaks_a_rule_is_refused_at_its_field(app, visitor, slug):
    answer = Program(app).post(
        "/org/create", {"organization_name": "Acme", "slug": slug, **SIGN_UP}
    )
    assert fault(answer) == (422, "invalid_slug", {"slug"})
    page = visitor.post("/signup", {"organization_name": "Acme", "slug": slug, **SIGN_UP})
    assert (page.status, page.value("slug")) == (422, slug)
    assert page.fault("slug")


def test_the_preview_offers_a_free_address(visitor, north):
    page = visitor.get("/organizations/preview", query_string={"organization_name": BACK})
    assert "No, held by another organization. bei-jing-2 is free." in page.text
    typed = {"organization_name": BACK, "slug": "back-drop"}
    page = visitor.get("/organizations/preview", query_string=typed)
    assert "back-drop" in page.text
    assert "Yes" in page.text


def test_an_offered_slug_is_held_by_nobody(app, north):
    """Nor is it longer than a slug may be."""
    long = "x" * 63
    assert Program(app).sign_up(long, "long@acme.example").status_code == 201
    answer = Program(app).sign_up(long)
    offered = answer.json["error"]["message"].split("Send ")[1].split(",")[0]
    assert len(offered) <= 63
    for n in range(2, 21):
        Slug(id=f"bei-jing-{n}", organization=ObjectId(), state="current").save()
    answer = Program(app).sign_up(BACK)
    offered = answer.json["error"]["message"].split("Send ")[1].split(",")[0]
    assert offered.startswith("bei-jing-")
    assert not Slug.objects(id=offered)


def test_a_name_reaches_only_the_organization_that_has_it(north, back):
    for program, name, slug in ((north, NORTH, "bei-jing"), (back, BACK, "bei-jing-2")):
        for text in (name, slug):
            assert program.get(f"/org/{text}").json["organization"]["slug"] == slug
    for text in (BACK, "bei-jing-2", "Bei Jing", "bei jing"):
        assert north.get(f"/org/{text}").status_code == 404
    for text in (NORTH, "bei-jing"):
        assert back.get(f"/org/{text}").status_code == 404


def test_no_name_changes_or_deletes_another_organization(north):
    """Not even where the caller would be allowed to."""
    for answer in (
        north.put(f"/org/update/{BACK}", {"new_organization_name": "Gone"}),
        north.put("/org/update", {"old_organization_name": BACK, "new_organization_name": "Gone"}),
        north.delete(f"/org/delete/{BACK}"),
        north.delete("/org/delete", {"organization_name": BACK}),
        north.delete(f"/org/delete/{BACK}?purge=true"),
        north.get(f"/org/{BACK}/members"),
    ):
        assert answer.status_code == 404
    assert Organization.objects.get().name == NORTH


def test_a_name_is_compared_without_case_and_as_cleaned(app):
    program = Program(app)
    program.sign_up("O’Neil GROSSE Straße")
    program.log_in()
    for text in ("o'neil grosse strasse", "  O‘Neil   Grosse Straße "):
        assert program.get(f"/org/{text}").status_code == 200
    assert program.get("/org/O Neil GROSSE Straße").status_code == 404


def test_a_former_name_leads_to_its_organization_and_to_no_other(north, back):
    """The answer links to the current one."""
    assert north.put("/org/update/bei-jing", {"new_organization_name": "North"}).status_code == 200
    answer = north.get(f"/org/{NORTH}")
    assert answer.json["organization"]["organization_name"] == "North"
    assert "/org/north" in answer.headers["Link"]
    assert north.get("/org/bei-jing").status_code == 200
    assert north.get(f"/org/{BACK}").status_code == 404
    assert back.get(f"/org/{NORTH}").status_code == 404


def test_a_former_name_of_an_older_version_counts_by_its_slug_alone(north):
    north.put("/org/update/bei-jing", {"new_organization_name": "North"})
    Slug.objects(id="bei-jing").update_one(unset__name=True)
    assert north.get(f"/org/{NORTH}").status_code == 404
    assert north.get("/org/bei-jing").status_code == 200


@pytest.mark.attack("N5")
def test_a_name_that_several_have_is_told_to_be_ambiguous(back):
    assert back.post("/org/create", {"organization_name": BACK, "slug": "drop"}).status_code == 201
    answer = back.get(f"/org/{BACK}")
    assert fault(answer) == (409, "ambiguous_name", set())
    assert "bei-jing-2, drop" in answer.json["error"]["message"]


@pytest.mark.attack("N5")
def test_a_slug_goes_before_a_name(back):
    back.post("/org/create", {"organization_name": "bei-jing-2", "slug": "other"})
    assert back.get("/org/bei-jing-2").json["organization"]["organization_name"] == BACK
    back.post("/org/create", {"organization_name": "acme", "slug": "acme-inc"})
    assert back.get("/org/acme").json["organization"]["slug"] == "acme-inc"


def test_a_rename_may_change_the_address_alone(back, tenant_db):
    body = {"new_organization_name": BACK, "slug": "backdrop"}
    answer = back.put("/org/update/bei-jing-2", body)
    assert answer.json["organization"]["slug"] == "backdrop"
    assert "org_backdrop" in tenant_db.list_collection_names()
    assert fault(back.put("/org/update/backdrop", body)) == (
        422,
        "name_unchanged",
        {"new_organization_name"},
    )


def test_a_name_that_is_transcribed_alike_keeps_the_typed_slug(back):
    answer = back.put("/org/update/bei-jing-2", {"new_organization_name": "背 景"})
    assert answer.json["organization"]["slug"] == "bei-jing-2"


def test_an_organization_comes_back_under_another_address(app, back):
    back.delete("/org/delete/bei-jing-2")
    [trashed] = back.get("/org/trash").json["trash"]
    holder = Program(app)
    body = {"organization_name": "Other", "slug": "bei-jing-2", **SIGN_UP, "email": "o@o.example"}
    assert holder.post("/org/create", body).status_code == 201
    path = f"/org/trash/{trashed['id']}/restore"
    answer = back.post(path)
    assert fault(answer) == (409, "name_taken", {"organization_name"})
    answer = back.post(path, {"slug": "bei-jing-3"})
    assert answer.json["organization"]["slug"] == "bei-jing-3"
    assert answer.json["organization"]["organization_name"] == BACK


def test_the_page_of_a_restore_keeps_a_typed_address(visitor):
    visitor.post("/signup", {"organization_name": BACK, "slug": "backdrop", **SIGN_UP})
    visitor.post("/organizations/backdrop/delete", {"confirm_name": BACK})
    path = f"/trash/{Organization.objects.get().id}/restore"
    assert visitor.get(path).value("slug") == "backdrop"
    fields = {"organization_name": BACK, "slug": "backdrop"}
    assert visitor.post(path, fields).location == "/organizations/backdrop"


def test_a_name_without_a_slug_signs_up_with_a_typed_one(visitor):
    fields = {"organization_name": "ⵜⴰⵎⴰⵣⵉⵖⵜ", **SIGN_UP}
    refused = visitor.post("/signup", fields)
    assert "type one" in refused.fault("organization_name")
    assert refused.html.find(id="slug").find_parent("details").has_attr("open")
    assert visitor.post("/signup", {**fields, "slug": "tamazight"}).status == 303


def test_organizations_of_before_work_on(app, visitor):
    """Whatever their names and slugs are, of rules that held then."""
    visitor.sign_up()
    Organization.objects.update(name="1\u20e3 Old", slug="507f1f77bcf86cd799439011")
    Slug.objects.delete()
    organization = Organization.objects.get()
    Slug(id=organization.slug, organization=organization.id, state="current").save()
    assert visitor.get(f"/organizations/{organization.slug}").status == 200
    program = Program(app)
    program.log_in()
    assert program.get(f"/org/{organization.slug}").status_code == 200
    path = f"/organizations/{organization.slug}/delete"
    assert visitor.post(path, {"confirm_name": organization.name}).location == "/trash"
    assert visitor.post(f"/trash/{organization.id}/restore", {}).status == 303
