"""Jobs: long work that is leased, resumable, and may be killed at any time."""
