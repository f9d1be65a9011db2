"""An organization's API keys: created, rotated, revoked."""
