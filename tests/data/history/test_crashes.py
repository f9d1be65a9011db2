"""A portal is killed before or after any command of an edit: there is the edit with its history and
its event, or neither."""

from datetime import timedelta

import bson
import pytest

from portal.data import edit_events, writing
from portal.data.history.entries import list_edits
from portal.data.history.undoing import undo_edit
from portal.documents.audit import AuditEvent
from portal.documents.organizations import Organization
from tests.data.history.conftest import Desk
from tests.factories import fresh
from tests.faults import doomed
from tests.faults.lapse import let_transactions_run_out

pytestmark = [pytest.mark.full, pytest.mark.processes]
BEFORE, AFTER = 1, 2


def access():
    return Desk(Organization.objects.get()).access


def insert(number):
    writing.insert_documents(access(), [bson.encode({"_id": number, "n": AFTER})], None)


def replace(number):
    encoded = bson.encode({"_id": number, "n": AFTER})
    writing.replace_document(access(), bson.encode({"": number}), encoded, None, None)


def delete(number):
    writing.delete_document(access(), bson.encode({"": number}), None, None)


def undo(number):
    [edit] = list_edits(Organization.objects.get(), document=bson.encode({"": number})).rows
    undo_edit(access(), str(edit.id))


@pytest.mark.parametrize("deed", [insert, replace, delete, undo])
def test_no_edit_is_without_its_history_nor_the_reverse(
    desk, deed, settings, tenant_db, bare_client, monkeypatch
):
    stored = tenant_db[desk.organization.placement.collection]
    monkeypatch.setattr(edit_events, "LEFT_OVER_AFTER", timedelta(seconds=-1))

    def begin(number):
        if deed is undo:
            desk.insert({"_id": number, "n": BEFORE})
        elif deed is not insert:
            stored.insert_one({"_id": number, "n": BEFORE})
        return stored.find_one({"_id": number})

    def check(number, before):
        """Tell whether it was done."""
        let_transactions_run_out(bare_client)
        done = stored.find_one({"_id": number}) != before
        history = list_edits(fresh(desk.organization), document=bson.encode({"": number})).rows
        made = [each for each in history if each.documents]
        assert len(made) == done + (deed is undo)
        edit_events.tell_left_over()
        events = AuditEvent.objects(details__document=f'{{ "$numberInt" : "{number}" }}')
        assert events.count() == len(made)
        return done

    before = begin(0)
    life = doomed.live(settings, deed, 0)
    assert check(0, before)
    outcomes = []
    for number, end in enumerate(life.points, 1):
        before = begin(number)
        doomed.live(settings, deed, number, end=end)
        outcomes.append(check(number, before))
        if outcomes[-1] and deed is not undo:
            [edit] = list_edits(desk.organization, document=bson.encode({"": number})).rows
            desk.undo(edit)
            assert stored.find_one({"_id": number}) == before
    assert outcomes == sorted(outcomes), "done at one point, and not at a later one"
    assert set(outcomes) == {False, True}
