"""Gunicorn's configuration for a portal on the databases of a test run: without the runner, which
would finish what other tests leave unfinished on purpose."""

worker_class = "portal.serving.worker.BufferingWorker"
threads = 4
control_socket_disable = True
