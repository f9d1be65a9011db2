"""Methods, options and operators of PyMongo that a tenant lacks, and what to use instead."""

_LIFECYCLE = "the portal creates, renames and deletes collections, as organizations are"
_SEARCH = "no search index follows a rename by itself"
_ENCODED = "use with_options(codec_options=...) and RawBSONDocument"
_KNOWN_BY_ID = "a collection's name changes; an organization is known by its id"
_ELSEWHERE = "they reach other collections; read, and write what came out"
_CODE = "they run JavaScript in the server; $expr says nearly all"
_BOUNDS = "use $gte and $lt in the filter, and hint"
_GONE = "MongoDB has it no more"

INSTEAD = {
    "drop": f"{_LIFECYCLE}; use delete_many({{}}) to delete all documents",
    "rename": _LIFECYCLE,
    "options": _LIFECYCLE,
    "create_indexes": "use create_index for each, so that the one that failed is known",
    "drop_indexes": "use drop_index for each, by its name",
    "find_raw_batches": _ENCODED,
    "aggregate_raw_batches": _ENCODED,
    "create_search_index": _SEARCH,
    "create_search_indexes": _SEARCH,
    "drop_search_index": _SEARCH,
    "list_search_indexes": _SEARCH,
    "update_search_index": _SEARCH,
    "database": "an organization has a collection, whose database it shares",
    "name": _KNOWN_BY_ID,
    "full_name": _KNOWN_BY_ID,
    "write_concern": "writes are acknowledged by a majority, always",
    "read_concern": "reads are of the primary's latest, as of PyMongo's default",
    "read_preference": "reads are of the primary: a secondary may not know of a rename yet",
}
"""Methods and attributes."""

_OTHER_CURSORS = "a result may go on with another cursor, on another connection"
_FLAGS = "use the options of find"

INSTEAD_OF_RESULT = {
    "distinct": "use distinct of the tenant, with the filter",
    "explain": "explain the query in mongosh, by the collection's name of that moment",
    "where": _CODE,
    "min": _BOUNDS,
    "max": _BOUNDS,
    "max_await_time_ms": "use watch()",
    "max_scan": _GONE,
    "add_option": _FLAGS,
    "remove_option": _FLAGS,
    "collection": _OTHER_CURSORS,
    "session": _OTHER_CURSORS,
    "cursor_id": _OTHER_CURSORS,
    "address": _OTHER_CURSORS,
}
"""Methods and attributes of cursors."""

INSTEAD_OF_OPTION = {
    "session": "use transaction(), whose object has the same methods",
    "cursor_type": "use watch()",
    "no_cursor_timeout": "sorted by _id, a result goes on after its cursor timed out",
    "bypass_document_validation": "a validator binds every application",
    "raw_data": "it is for time series, which no organization has",
    "rawData": "it is for time series, which no organization has",
    "min": _BOUNDS,
    "max": _BOUNDS,
    "return_key": "use a projection of the index's fields",
    "show_record_id": "a move gives documents other record ids; use _id",
    "allow_partial_results": "it is for shards, which no organization has",
    "oplog_replay": _GONE,
    "max_scan": _GONE,
    "snapshot": _GONE,
}
"""Keyword arguments."""

INSTEAD_OF_STREAM_OPTION = {
    "collation": "the library's own stages would compare by it; use $toLower or the like",
    "show_expanded_events": "what becomes of collections is the portal's business",
}
"""Keyword arguments of ``watch``."""

INSTEAD_OF_OPERATOR = {
    "$out": _ELSEWHERE,
    "$merge": _ELSEWHERE,
    "$lookup": _ELSEWHERE,
    "$graphLookup": _ELSEWHERE,
    "$unionWith": _ELSEWHERE,
    "$where": _CODE,
    "$function": _CODE,
    "$accumulator": _CODE,
    "$geoNear": "find has $near",
}
"""Operators and stages; all other stages that aren't allowed are simply not reviewed yet."""
