"""Pages of the whole of an organization's documents: shape, indexes, rules, masks."""
