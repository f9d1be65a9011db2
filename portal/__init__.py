"""The portal: registers the organizations of multi-tenant software, and provides their storage.

This package imports nothing, so that a part of it starts without all the others: the supervisor of
``make run`` does. ``portal.app`` is the whole.
"""

__version__ = "0.1.0"
