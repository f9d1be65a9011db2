"""Processes: the supervisor, the worker, the embedded mongod, static files. Imported by nothing."""
