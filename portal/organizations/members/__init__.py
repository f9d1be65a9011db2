"""Members of organizations: roles, ownership, invitations."""
