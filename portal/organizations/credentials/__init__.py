"""An organization's credentials: MongoDB users of its own, made, rotated, revoked."""
