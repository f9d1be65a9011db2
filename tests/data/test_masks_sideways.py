"""Masked values by side ways: sizes, sorts, undo, files made before."""

from dataclasses import replace

import bson
import pytest

from portal.data.access import document_access
from portal.data.conditions import Condition
from portal.data.cutting import list_cut
from portal.data.formats.options import Format, WriteOptions
from portal.data.history.entries import list_edits
from portal.data.history.undoing import undo_edit
from portal.data.indexes.builds import create_index
from portal.data.indexes.listing import IndexSpec
from portal.data.masks.errors import FieldMasked
from portal.data.masks.masks import MASKED, Mask
from portal.data.queries import Query
from portal.data.selections import Selection
from portal.data.transfer.errors import MaskedSince
from portal.data.transfer.exports import export_content, find_export, start_export
from portal.data.writing import delete_document, insert_documents, replace_document
from portal.documents.memberships import Role
from portal.jobs import runner
from tests.data.conftest import DataProgram
from tests.factories import a_context, a_key, a_member, an_access, the_owner

PAGE = "/organizations/acme-corp/data"


@pytest.fixture
def owner(acme):
    return document_access(an_access(acme), a_context(the_owner(acme)))


@pytest.fixture
def masked(owner):
    return replace(owner, mask=Mask(frozenset({"iban"})))


@pytest.fixture
def viewer(visitor, acme):
    acme.update(set__viewers_read_documents=True, set__masked_fields=["iban", "contact.email"])
    a_member(acme, Role.VIEWER)
    visitor.log_in("teo@acme.example")
    return visitor


def id_of(value):
    return bson.encode({"": value})


@pytest.mark.parametrize(
    "query", ["field=iban&operator=present&add=and", 'filter={"iban":"x"}', "sort=iban"]
)
def test_a_viewer_who_filters_or_sorts_by_a_masked_field_is_told_so(viewer, stored, query):
    stored.insert_many({"_id": n, "iban": "canary"} for n in range(3))
    page = viewer.get(f"{PAGE}?{query}", follow_redirects=True)
    assert page.status == 403
    assert "This field is sensitive" in page.text or "Sorted by _id, not by iban" in page.text
    assert "canary" not in page.text


@pytest.mark.attack("X4")
def test_sizes_on_a_page_are_without_what_is_masked(masked, stored):
    stored.insert_many([{"_id": 1, "iban": "x" * 5000}, {"_id": 2}])
    two, one = list_cut(masked, {}, {"_id": -1}, limit=5).documents
    assert one.size_bytes == two.size_bytes
    assert one.node.member("iban").value == bson.encode({"": MASKED})


@pytest.mark.attack("X4")
def test_who_may_not_see_a_value_does_not_put_it_back(owner, masked, stored):
    insert_documents(owner, [bson.encode({"_id": 1, "iban": "old", "city": "Bonn"})], None)
    replace_document(
        owner, id_of(1), bson.encode({"_id": 1, "iban": "new", "city": "Bonn"}), None, None
    )
    sensitive = list_edits(owner.organization).rows[0]
    with pytest.raises(FieldMasked):
        undo_edit(masked, str(sensitive.id))
    replace_document(
        owner, id_of(1), bson.encode({"_id": 1, "iban": "new", "city": "Ulm"}), None, None
    )
    undo_edit(masked, str(list_edits(owner.organization).rows[0].id))
    assert stored.find_one() == {"_id": 1, "iban": "new", "city": "Bonn"}
    delete_document(owner, id_of(1), None, None)
    with pytest.raises(FieldMasked):
        undo_edit(masked, str(list_edits(owner.organization).rows[0].id))


@pytest.mark.attack("X4")
def test_an_export_made_before_a_field_was_masked_is_given_out_no_longer(owner, masked, stored):
    stored.insert_one({"_id": 1, "iban": "canary"})
    made = start_export(owner, Query(), WriteOptions(Format.JSON_LINES), "all documents")
    runner.run_due_jobs()
    made = find_export(owner.organization, made.file.id)
    assert b"canary" in b"".join(export_content(owner, made))
    with pytest.raises(MaskedSince):
        export_content(masked, made)
    own = start_export(masked, Query(), WriteOptions(Format.JSON_LINES), "all documents")
    owner.organization.update(set__masked_fields=["iban"])
    runner.run_due_jobs()
    content = b"".join(export_content(masked, find_export(owner.organization, own.file.id)))
    assert MASKED.encode() in content
    assert b"canary" not in content


@pytest.mark.parametrize("operator", ["between", "is", "missing", "is_not", "one_of", "more_than"])
def test_conditions_on_other_fields_of_the_same_parent_are_free(operator):
    values = {"between": ("2", "8"), "missing": ()}.get(operator, ("2",))
    mask = Mask(frozenset({"parts.price", "contact.email"}))
    for field in ("parts.count", "contact.name"):
        condition = Condition(field, operator, ("number",) if values else (), values)
        mask.check_filter(Selection(groups=((condition,),)).filter)


@pytest.mark.attack("X4")
def test_a_failed_index_does_not_tell_whose_masked_values_are_equal(app, acme, owner, stored):
    stored.insert_many({"_id": n, "iban": "same", "city": "same"} for n in range(3))
    acme.update(set__masked_fields=["iban"])
    for name in ("iban", "city"):
        create_index(an_access(acme), IndexSpec({name: 1}, unique=True), owner.context)
    key = a_key(acme, None, ["documents.read", "indexes.manage"])
    listed = DataProgram(app, key).get("/org/acme-corp/indexes").json["indexes"]
    told = {index["name"]: bool(index["conflicts"]) for index in listed}
    assert told == {"_id_": False, "iban_1": False, "city_1": True}
