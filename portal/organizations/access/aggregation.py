"""Stages of the read models' aggregations."""

from typing import Any

from bson import ObjectId
from mongoengine import Document

from portal import clock
from portal.documents.accounts import Account


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


def with_mfa_lockout(account_id: ObjectId) -> list[dict[str, Any]]:
    """The stages of an aggregation over organizations that set ``locked_out``: whether they already
    require a second factor and the account has none."""
    enrolled = {
        "from": Account._get_collection_name(),
        "as": "enrolled",
        # Uncorrelated, so the server looks it up once for all organizations.
        "pipeline": [
            {"$match": {"_id": account_id, "has_second_factor": True}},
            {"$project": {"_id": 1}},
        ],
    }
    begins = "$second_factor_from"
    begun = {"$and": [{"$gt": [begins, None]}, {"$lte": [begins, clock.now()]}]}
    return [
        {"$lookup": enrolled},
        {"$set": {"locked_out": {"$and": [begun, {"$eq": ["$enrolled", []]}]}}},
        {"$unset": "enrolled"},
    ]
