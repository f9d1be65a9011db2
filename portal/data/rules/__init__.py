"""Rules that documents keep: the validator of a collection, as a JSON Schema."""
