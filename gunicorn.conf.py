"""How gunicorn serves the portal; ``make run`` and ``gunicorn wsgi:app`` both read it."""

import resource
from pathlib import Path

from gunicorn.workers.base import Worker

from portal import logs
from portal.identity.second_factors import resealing
from portal.mail import sender
from portal.organizations.lifecycle import runner
from portal.settings import load

workers = load().web_concurrency
worker_class = "portal.serving.worker.PatientWorker"
threads = 4
worker_connections = 1000
timeout = 30  # far beyond the 4 s that a request has for MongoDB
graceful_timeout = 10
control_socket_disable = True  # by default one socket in $HOME, shared by all of a user's portals
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 (heartbeats)
forwarder_headers = ""  # SCRIPT_NAME and PATH_INFO are nobody's to send
forwarded_allow_ips = ""
limit_request_field_size = 8190
logconfig_dict = logs.config()


# A connection is a file; the usual limit is 1,024, with those to MongoDB on top.
_, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))


def post_worker_init(worker: Worker) -> None:
    """After the fork: prepare the database, finish what others left behind, and send mails."""
    runner.start()
    sender.start(worker.wsgi)
    resealing.start()
