"""Pages of an organization's documents."""
