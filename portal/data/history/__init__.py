"""What was edited in an organization's documents, and undoing it."""
