"""gunicorn's configuration, for both ``make run`` and ``gunicorn wsgi:app``."""

import gc

gc.disable()  # as wsgi.py does

import resource
from pathlib import Path

import structlog
from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

from portal import logs
from portal.app import workers as portal_workers
from portal.serving.listening import gunicorn_bind
from portal.settings import load, load_supervisor

bind = gunicorn_bind(load_supervisor())
active = load()
workers = active.web_concurrency
worker_class = "portal.serving.worker.BufferingWorker"
threads = 4
worker_connections = 1000
timeout = 30  # far above the 4 s limit of a request for MongoDB
graceful_timeout = 10
control_socket_disable = True  # the default one in $HOME is shared by all of a user's portals
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 (heartbeats)
forwarder_headers = ""  # nobody may send SCRIPT_NAME and PATH_INFO
forwarded_allow_ips = ""
limit_request_field_size = 8190
limit_request_line = 8190  # a filter of documents is in the URL
logconfig_dict = logs.config()

gc.freeze()  # workers share the memory of what their master imported
gc.enable()

# Each connection, those to MongoDB included, takes a file; the usual limit is 1,024.
_, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))


def on_starting(server: Arbiter) -> None:
    """Warn of what is set for a trial only."""
    logs.configure()
    for rule in active.weak_password_rules:
        structlog.get_logger().warning("settings.weak_password_rule", rule=rule)


def post_worker_init(worker: Worker) -> None:
    """Start the worker's background threads, after the fork."""
    portal_workers.start_background(worker.wsgi)


def worker_exit(server: Arbiter, worker: Worker) -> None:
    """End what the worker does beside its requests."""
    portal_workers.end_background()
