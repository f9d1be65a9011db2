"""API keys as credentials, and provisioning keys."""
