"""Pages of one document: edited, inserted, duplicated, deleted."""
