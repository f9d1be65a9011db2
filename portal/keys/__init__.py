"""API keys: by which a program acts for an organization, or signs organizations up."""
