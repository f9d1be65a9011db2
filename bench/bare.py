"""The least that a page can cost: a Flask view with one ``find_one``. It is served as the portal
is, to have something to hold the portal's pages against. It is gunicorn's configuration of itself,
too: the portal's own would start the runner."""

import os
from typing import Any

from flask import Flask
from pymongo import MongoClient

from portal.serving.worker import BufferingWorker

worker_class = BufferingWorker
threads = 4
control_socket_disable = True

app = Flask(__name__)
client: MongoClient[dict[str, Any]] = MongoClient(os.environ["MONGO_URI"], connect=False)


@app.get("/")
def one() -> str:
    document = client[os.environ["TENANT_DB"]].documents.find_one({"_id": 1})
    return document["name"] if document else ""
