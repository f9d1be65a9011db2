"""Files are kept in chunks beside the documents: what is uploaded is what is read, whoever took
which part of it, and however often."""

import pytest
from bson import ObjectId

from portal.data.transfer import files
from portal.data.transfer.errors import (
    ChunkRefused,
    FileGone,
    FileTooLarge,
    TooMuchKept,
    TransferNotFound,
    UploadIncomplete,
)
from portal.data.transfer.files import (
    Purpose,
    complete_file,
    content_of,
    create_file,
    delete_file,
    files_of,
    find_file,
    put_chunk,
    put_stream,
)
from portal.organizations.lifecycle.renaming import rename_organization
from tests.factories import a_context, an_organization, fresh
from tests.processes import at_once

CONTENT = bytes(range(256)) * 5


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(files, "CHUNK_BYTES", 512)


def upload(seen, content=CONTENT, name="orders.csv"):
    file = create_file(seen, Purpose.IMPORT, name, size_bytes=len(content))
    size_bytes = put_stream(seen, file, [content[:700], content[700:]])
    return complete_file(seen, file, size_bytes)


def read(acme, file, first=0):
    return b"".join(content_of(acme, file, first))


def test_what_was_uploaded_is_read_from_any_byte_on(acme, seen):
    file = upload(seen)
    assert (file.size_bytes, file.complete, file.has_content) == (1280, True, True)
    for first in (0, 1, 511, 512, 1279, 1280):
        assert read(acme, file, first) == CONTENT[first:]
    assert [one.id for one in files_of(acme, Purpose.IMPORT, 9)] == [file.id]
    assert files_of(acme, Purpose.EXPORT, 9) == []


def test_parts_come_in_any_order_twice_and_at_once(acme, seen):
    file = create_file(seen, Purpose.IMPORT, "orders.csv", size_bytes=1280)
    parts = [CONTENT[n : n + 512] for n in (0, 512, 1024)]
    with pytest.raises(UploadIncomplete) as refused:
        complete_file(seen, file, 1280)
    assert refused.value.missing == 0
    at_once([lambda n=n: put_chunk(seen, file, n, parts[n]) for n in (2, 0, 2, 0)])
    with pytest.raises(UploadIncomplete) as refused:
        complete_file(seen, file, 1280)
    assert refused.value.missing == 1
    put_chunk(seen, file, 1, parts[1])
    assert read(acme, complete_file(seen, file, 1280)) == CONTENT


def test_an_upload_that_is_shorter_than_was_said_is_not_complete(acme, seen):
    file = create_file(seen, Purpose.IMPORT, "orders.csv", size_bytes=1280)
    put_stream(seen, file, [CONTENT[:1000]])
    with pytest.raises(UploadIncomplete):
        complete_file(seen, file, 1280)
    assert read(acme, complete_file(seen, file, 1000)) == CONTENT[:1000]


def test_a_part_after_the_end_or_of_another_size_is_refused(seen):
    file = upload(seen)
    with pytest.raises(ChunkRefused):
        put_chunk(seen, file, 9, b"more")
    still_open = find_before_completion = create_file(seen, Purpose.IMPORT, "a", size_bytes=1)
    for data in (b"", bytes(513)):
        with pytest.raises(ChunkRefused):
            put_chunk(seen, still_open, 0, data)
    put_chunk(seen, still_open, 0, b"1")
    complete_file(seen, still_open, 1)
    with pytest.raises(TransferNotFound):  # who had read it before it was complete
        put_chunk(seen, find_before_completion, 1, b"2")


def test_limits_are_told_before_a_byte_is_taken(seen, monkeypatch):
    monkeypatch.setattr(files, "LARGEST_BYTES", 1000)
    with pytest.raises(FileTooLarge):
        create_file(seen, Purpose.IMPORT, "a", size_bytes=1001)
    unknown = create_file(seen, Purpose.IMPORT, "a")
    with pytest.raises(FileTooLarge):
        put_stream(seen, unknown, [CONTENT])
    monkeypatch.setattr(files, "MOST_KEPT_BYTES", 1500)
    create_file(seen, Purpose.IMPORT, "a", size_bytes=900)
    with pytest.raises(TooMuchKept):
        create_file(seen, Purpose.IMPORT, "a", size_bytes=601)


@pytest.mark.attack("D1")
def test_what_comes_counts_though_less_was_announced(acme, seen, monkeypatch):
    monkeypatch.setattr(files, "MOST_KEPT_BYTES", 1500)
    begun, other = (create_file(seen, Purpose.IMPORT, "a", size_bytes=1) for _ in range(2))
    for number in (0, 1):
        put_chunk(seen, begun, number, bytes(512))
    put_chunk(seen, begun, 1, bytes(512))  # sent again
    with pytest.raises(TooMuchKept):
        put_chunk(seen, other, 0, bytes(512))
    with pytest.raises(TooMuchKept):
        create_file(seen, Purpose.IMPORT, "a", size_bytes=512)
    delete_file(acme, begun)
    put_chunk(seen, other, 0, bytes(512))


def test_a_file_is_found_by_its_organization_alone_and_by_its_purpose(acme, seen):
    file = upload(seen)
    assert find_file(acme, str(file.id), Purpose.IMPORT).id == file.id
    other = an_organization("Globex")
    for organization, file_id, purpose in (
        (other, file.id, Purpose.IMPORT),
        (acme, file.id, Purpose.EXPORT),
        (acme, ObjectId(), Purpose.IMPORT),
        (acme, "../../etc/passwd", Purpose.IMPORT),
    ):
        with pytest.raises(TransferNotFound):
            find_file(organization, file_id, purpose)
    assert file.belongs_to(seen.context)
    assert not file.belongs_to(a_context())


def test_it_is_read_after_a_rename_and_gone_once_deleted(acme, seen):
    file = upload(seen)
    rename_organization(fresh(acme), "Acme and Daughters", a_context())
    assert read(acme, file) == CONTENT
    delete_file(acme, file)
    with pytest.raises(FileGone):
        read(acme, file)
    with pytest.raises(TransferNotFound):
        find_file(acme, file.id, Purpose.IMPORT)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("C:\\Users\\mara\\orders.csv", "orders.csv"),
        ("../../etc/passwd", "passwd"),
        ("\x00\u202ea\nb.csv", "ab.csv"),
        ("/", "file"),
        ("x" * 300, "x" * 200),
    ],
)
def test_a_name_is_no_path_and_printable(seen, sent, kept):
    assert create_file(seen, Purpose.IMPORT, sent).name == kept
