"""Supervisor, worker, embedded mongod and static files. Imported by no other room."""
