"""Sizes of oplogs: how long changes can be followed, by moves and by their ways back."""

from pymongo import MongoClient

from portal.database.connection import data_hosts

LEAST_MEGABYTES = 990
"""The smallest size that a server can be told while it runs."""


def resize_oplog(administrator: MongoClient, megabytes: int) -> list[str]:
    """Have the primary's oplog keep so much, for good; the hosts of the other members, which have
    oplogs of their own. Raises PyMongoError."""
    administrator.admin.command({"replSetResizeOplog": 1, "size": float(megabytes)})
    hello = administrator.admin.command("hello")
    return [host for host in data_hosts(hello) if host != hello["me"]]


def command(megabytes: int) -> str:
    """The command for an administrator's mongosh on one member."""
    return f"db.adminCommand({{replSetResizeOplog: 1, size: {megabytes}}})"
