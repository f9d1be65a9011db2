"""Sizes of oplogs: how long changes can be followed, by moves and by their ways back."""

from pymongo import MongoClient

LEAST_MEGABYTES = 990
"""The smallest size that a server can be told while it runs."""


def resize_oplog(administrator: MongoClient, megabytes: int) -> list[str]:
    """Have the primary's oplog keep so much, for good; the hosts of the other members, which have
    oplogs of their own, hidden ones too. Raises PyMongoError."""
    administrator.admin.command({"replSetResizeOplog": 1, "size": float(megabytes)})
    me = administrator.admin.command("hello")["me"]
    members = administrator.admin.command("replSetGetConfig")["config"]["members"]
    return [one["host"] for one in members if one["host"] != me and not one["arbiterOnly"]]


def command(megabytes: int) -> str:
    """The command for an administrator's mongosh on one member."""
    return f"db.adminCommand({{replSetResizeOplog: 1, size: {megabytes}}})"
