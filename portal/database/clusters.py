"""Clusters: the MongoDB deployments that organizations' documents are in.

Master data are on the first one, ``main``.
"""

from pymongo import MongoClient
from pymongo.database import Database

from portal import settings
from portal.database.connection import client
from portal.database.errors import UnknownCluster
from portal.documents.organizations import MAIN_CLUSTER, Placement
from portal.documents.pools import Pool


def client_of(cluster: str) -> MongoClient:
    """This process's client of a cluster. Raises UnknownCluster."""
    if cluster != MAIN_CLUSTER:
        raise UnknownCluster(cluster)
    return client()


def database_of(placement: Placement | Pool) -> Database:
    """The database that a tenant collection is in, or a pool's. Raises UnknownCluster."""
    return client_of(placement.cluster)[placement.database or settings.current().tenant_db]
