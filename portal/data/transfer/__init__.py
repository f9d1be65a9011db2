"""Documents come in and go out as files."""
