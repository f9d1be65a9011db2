"""Organizations: master data, names, access, and the lifecycle of their storage."""
