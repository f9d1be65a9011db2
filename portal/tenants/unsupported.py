"""PyMongo's methods of a collection that a tenant doesn't have, and what to use instead."""

_LIFECYCLE = "the portal creates, renames and deletes collections, as organizations are"
_SEARCH = "no search index follows a rename by itself"

INSTEAD = {
    "drop": f"{_LIFECYCLE}; use delete_many({{}}) to delete all documents",
    "rename": _LIFECYCLE,
    "options": _LIFECYCLE,
    "create_indexes": "use create_index for each, so that the one that failed is known",
    "drop_indexes": "use drop_index for each, by its name",
    "find_raw_batches": "use with_options(codec_options=...) and RawBSONDocument",
    "aggregate_raw_batches": "use with_options(codec_options=...) and RawBSONDocument",
    "create_search_index": _SEARCH,
    "create_search_indexes": _SEARCH,
    "drop_search_index": _SEARCH,
    "list_search_indexes": _SEARCH,
    "update_search_index": _SEARCH,
    "database": "an organization has a collection, whose database it shares",
    "name": "a collection's name changes; an organization is known by its id",
    "full_name": "a collection's name changes; an organization is known by its id",
    "write_concern": "writes are acknowledged by a majority, always",
    "read_concern": "reads are of the primary's latest, as of PyMongo's default",
    "read_preference": "reads are of the primary: a secondary may not know of a rename yet",
}
