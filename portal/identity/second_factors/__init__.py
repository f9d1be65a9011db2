"""Second factors: authenticator app, passkeys, recovery codes."""
