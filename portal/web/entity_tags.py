"""Entity tags as clients send them back (RFC 9110, 8.8.3)."""

import re
from collections.abc import Iterable

_TAG = re.compile(r'"([^"]{1,100})"')
# Apache, Jetty and Caddy tell at the end of a tag how they compressed what it is of.
_COMPRESSIONS = ("gzip", "br", "zstd", "deflate")


def names_one(header: str, tags: Iterable[str]) -> bool:
    """Tell whether ``If-Match`` or ``If-None-Match`` names one of the ``tags``, which are without
    quotes: also as proxies that compress hand it on, weak (``W/"…"``) or with an end of theirs."""
    if header.strip() == "*":
        return True
    sent = set(_TAG.findall(header))
    plain = {
        each.removesuffix(ending).rstrip("-;:")
        for each in sent
        for ending in _COMPRESSIONS
        if each.endswith(ending)
    }
    return not (sent | plain).isdisjoint(tags)
