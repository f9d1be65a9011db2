"""Examining a file before it is decided how it is read: what each column may become, or what a dump
has in it."""

from collections.abc import Iterable, Iterator
from typing import Any

from portal.data.access import DocumentAccess
from portal.data.formats.dumps import list_members
from portal.data.formats.errors import BrokenFile
from portal.data.formats.examining import Examiner
from portal.data.formats.options import ReadOptions
from portal.data.transfer.files import StoredFile, change_details, content_of
from portal.data.transfer.plans import stored_examination, stored_members
from portal.jobs.running import JobFailed, Run


def examine_file(run: Run, access: DocumentAccess, file: StoredFile) -> dict[str, Any]:
    """The work of an examination, which begins anew with each attempt: it writes nothing but its
    result."""
    options = ReadOptions.of(file.details["options"])
    organization = access.organization
    parts = _reported(run, content_of(organization, file))
    if file.details["detected"]["is_dump"] and not options.member:
        try:
            members = list_members(parts, options)
        except BrokenFile as error:
            raise JobFailed(error.words, {}) from error
        found: dict[str, Any] = {"members": stored_members(members)}
        result = {"members": len(members)}
    else:
        examiner = Examiner(options, file.details["zone"])
        for _ in examiner.run(parts):
            run.check()
        examined = examiner.result()
        found = {"examined": stored_examination(examined)}
        result = {"records": examined.records}
    change_details(organization, file, found, {"options": file.details["options"]})
    return result


def _reported(run: Run, parts: Iterable[bytes]) -> Iterator[bytes]:
    done = 0
    for part in parts:
        run.check()
        yield part
        done += len(part)
        run.report(done, "Check")
