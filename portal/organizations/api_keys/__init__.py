"""An organization's API keys: made, rotated, revoked."""
