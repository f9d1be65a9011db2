"""The history of an organization's documents: edits, undo, edits of many, erasing for good."""
