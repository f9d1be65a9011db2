"""A collection for each organization, in whatever database. Its documents are stored as they are
given."""

from collections.abc import Callable, Mapping
from typing import Any

from bson import ObjectId
from bson.codec_options import CodecOptions
from pymongo.errors import OperationFailure


class OwnCollection:
    """A placement in which nothing is wrapped."""

    __slots__ = ()

    def __init__(self, organization_id: ObjectId) -> None:
        pass

    def command(
        self, verb: str, fields: Mapping[str, Any], codec_options: CodecOptions
    ) -> Mapping[str, Any]:
        return fields

    def reply(self, verb: str, reply: Any, codec_options: CodecOptions) -> Any:
        return reply

    def error(self, error: OperationFailure) -> OperationFailure:
        return error

    def unwrapping(self, verb: str, codec_options: CodecOptions) -> Callable[[Any], Any] | None:
        return None
