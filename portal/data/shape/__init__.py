"""The shape of documents: their fields, types and values, from a sample."""
