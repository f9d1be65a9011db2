"""The types of BSON: their names in queries, and in words."""

DOUBLE, TEXT, OBJECT, LIST, BINARY, UNDEFINED, OBJECT_ID, BOOLEAN, DATE, NULL = range(1, 11)
INT32, TIMESTAMP, INT64, DECIMAL = 0x10, 0x11, 0x12, 0x13

ALIASES = {
    DOUBLE: "double",
    TEXT: "string",
    OBJECT: "object",
    LIST: "array",
    BINARY: "binData",
    UNDEFINED: "undefined",
    OBJECT_ID: "objectId",
    BOOLEAN: "bool",
    DATE: "date",
    NULL: "null",
    0x0B: "regex",
    0x0C: "dbPointer",
    0x0D: "javascript",
    0x0E: "symbol",
    0x0F: "javascriptWithScope",
    INT32: "int",
    TIMESTAMP: "timestamp",
    INT64: "long",
    DECIMAL: "decimal",
    0x7F: "maxKey",
    0xFF: "minKey",
}
"""The names that filters (``$type``) and schemas (``bsonType``) have for the types."""

WORDS = {
    DOUBLE: "double",
    TEXT: "text",
    OBJECT: "object",
    LIST: "list",
    BINARY: "binary",
    UNDEFINED: "undefined",
    OBJECT_ID: "ObjectId",
    BOOLEAN: "boolean",
    DATE: "date",
    NULL: "null",
    0x0B: "regular expression",
    0x0C: "DBPointer",
    0x0D: "code",
    0x0E: "symbol",
    0x0F: "code with scope",
    INT32: "int32",
    TIMESTAMP: "timestamp",
    INT64: "int64",
    DECIMAL: "decimal128",
    0x7F: "MaxKey",
    0xFF: "MinKey",
}
"""The types as people read them."""

NUMBERS = frozenset({DOUBLE, INT32, INT64, DECIMAL})
"""The types that compare with each other by their values."""


def family_of(kind: int) -> int:
    """The type, with all of numbers as one."""
    return DOUBLE if kind in NUMBERS else kind
