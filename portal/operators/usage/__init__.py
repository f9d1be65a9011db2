"""Use and limits of organizations, in the console."""
