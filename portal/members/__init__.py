"""Members of organizations: their roles, ownership, and invitations."""
