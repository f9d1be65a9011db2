"""The library's source. ``_sync`` is generated from it: ``make sync-tenants``."""
