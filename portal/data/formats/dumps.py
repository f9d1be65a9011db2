"""Dumps: a tar of a directory that mongodump made, and the metadata beside a ``.bson`` file."""

import re
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

import bson

from portal.data.errors import InvalidExtendedJson
from portal.data.formats.errors import BrokenFile, MetadataUnreadable, TooManyMembers
from portal.data.formats.old_json import parse_old
from portal.data.formats.options import Format, ReadOptions
from portal.data.formats.tar import members_of
from portal.data.formats.unpacking import gunzip

_LARGEST_METADATA_BYTES = 1024 * 1024
_MOST_MEMBERS = 10_000
_DOCUMENTS = re.compile(r"(.+)\.bson(?:\.gz)?")
_METADATA = re.compile(r"(.+)\.metadata\.json(?:\.gz)?")
_OF_THE_DUMP = ("oplog.bson", "prelude.json", "admin/system.version.bson")


@dataclass(frozen=True, slots=True)
class Metadata:
    """The indexes and options that mongodump kept beside a collection's documents."""

    collection: str
    indexes: tuple[dict[str, Any], ...]
    """Specifications as ``listIndexes`` gives them, without that of ``_id``."""
    options: dict[str, Any]
    """The collection's own: validator, collation, capped and so on."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a tar. ``refusal`` says why it isn't taken; ``None`` for a collection that is.

    ``options`` read its documents. ``metadata_fault`` says why its indexes aren't known.
    """

    name: str
    size_bytes: int
    database: str = ""
    collection: str = ""
    refusal: str | None = None
    options: ReadOptions | None = None
    metadata: Metadata | None = None
    metadata_fault: str | None = None


def list_members(parts: Iterable[bytes], options: ReadOptions) -> list[Member]:
    """All files in a tar, each with what is taken or the reason why it isn't. Raises BrokenFile."""
    content = gunzip(parts, options.largest_bytes) if options.gzip else parts
    members: list[Member] = []
    described: dict[str, Metadata | str] = {}
    for info, contents in members_of(content):
        if info.isdir():
            continue
        if len(members) == _MOST_MEMBERS:
            raise TooManyMembers(_MOST_MEMBERS)
        metadata = _METADATA.fullmatch(info.name)
        if metadata and info.isreg() and info.size <= _LARGEST_METADATA_BYTES:
            described[metadata[1]] = _metadata_or_fault(b"".join(contents))
            continue
        members.append(_member(info, options))
    return [_described(member, described) for member in members]


def parse_metadata(content: bytes) -> Metadata:
    """The metadata in a ``.metadata.json`` file, also a gzipped one. Raises BrokenFile."""
    try:
        if content.startswith(b"\x1f\x8b"):
            content = b"".join(gunzip([content], _LARGEST_METADATA_BYTES))
        found = bson.decode(parse_old(content))
        indexes = [index for index in found.get("indexes", []) if index["name"] != "_id_"]
        collection = str(found.get("collectionName", ""))
        return Metadata(collection, tuple(indexes), dict(found.get("options", {})))
    except (InvalidExtendedJson, KeyError, TypeError, ValueError) as error:
        raise MetadataUnreadable from error


def _metadata_or_fault(content: bytes) -> Metadata | str:
    try:
        return parse_metadata(content)
    except BrokenFile as error:
        return error.reason


def _member(info: tarfile.TarInfo, options: ReadOptions) -> Member:
    name = info.name
    documents = _DOCUMENTS.fullmatch(name)
    path = documents[1].removeprefix("./").split("/") if documents else []
    collection = unquote(path[-1]) if path else ""
    database = unquote(path[-2]) if len(path) > 1 else ""
    member = Member(name, info.size, database, collection)
    refusal = _refusal(info, path, collection)
    if refusal:
        return replace(member, refusal=refusal)
    read = ReadOptions(
        Format.BSON, gzip=options.gzip, member=name, largest_bytes=options.largest_bytes
    )
    return replace(member, options=read)


def _refusal(info: tarfile.TarInfo, path: list[str], collection: str) -> str | None:
    name = info.name
    is_outside = name.startswith("/") or ".." in name.split("/")
    refusals = (
        (not info.isreg(), "It is a link or a device, no file."),
        (is_outside, "Its name leads out of the directory."),
        (name.endswith(_OF_THE_DUMP), "It is of the dump itself."),
        (not path, "It is neither documents nor their metadata."),
        (
            collection.startswith("system.buckets."),
            "It has the inner documents of a time series collection.",
        ),
        (collection.startswith("system."), "It belongs to the database server."),
    )
    return next((words for is_refused, words in refusals if is_refused), None)


def _described(member: Member, described: dict[str, Metadata | str]) -> Member:
    stem = re.sub(r"\.bson(?:\.gz)?$", "", member.name)
    metadata = described.get(stem)
    if metadata is None:
        return member
    if isinstance(metadata, str):
        return replace(member, metadata_fault=metadata)
    return replace(member, metadata=metadata, collection=metadata.collection or member.collection)
