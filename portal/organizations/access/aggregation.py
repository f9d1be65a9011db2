"""The ``$lookup`` of the read models' aggregations."""

from typing import Any

from mongoengine import Document


def join(
    document: type[Document],
    local: str,
    foreign: str,
    name: str,
    pipeline: list[dict[str, Any]],
    **options: Any,
) -> dict[str, Any]:
    """A ``$lookup`` of the documents whose field ``foreign`` equals ``local``, put through the
    ``pipeline``, as the array ``name``."""
    return {
        "$lookup": {
            "from": document._get_collection_name(),
            "localField": local,
            "foreignField": foreign,
            "as": name,
            "pipeline": pipeline,
            **options,
        }
    }
