"""The least that a page can cost: a Flask view with one ``find_one``. ``make measure`` serves it
as the portal is served, to have something to hold the portal's pages against. It is gunicorn's
configuration of itself, too: the portal's own would start the runner."""

import os

from flask import Flask
from pymongo import MongoClient

worker_class = "portal.serving.worker.PatientWorker"
threads = 4
control_socket_disable = True

app = Flask(__name__)
documents = MongoClient(os.environ["MONGO_URI"], connect=False).bare.documents


@app.get("/")
def one():
    return documents.find_one({"_id": 1})["name"]
