"""The log: one line per event, readable on a terminal, JSON otherwise.

Events have names and fields; the only user input in them are names in paths. Logs of libraries
(gunicorn, PyMongo) go the same way.
"""

import logging.config
import re
import sys
from typing import Any

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor, WrappedLogger

# A duplicate key, a broken rule, and the answer that PyMongo adds to both.
_VALUES = re.compile(r"(\bdup key: |\bkeyValue['\"]?: |\berrInfo['\"]?: |, full error: ).*")

_SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure() -> None:
    """Send all events to standard error."""
    logging.config.dictConfig(config())
    structlog.configure(
        processors=[*_SHARED, ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,  # else each event looks its module up on the stack
    )


def config() -> dict[str, Any]:
    """The configuration for ``logging`` and gunicorn."""
    formatter = {
        "()": ProcessorFormatter,
        "processors": [ProcessorFormatter.remove_processors_meta, _escape, *_rendering()],
        "foreign_pre_chain": _SHARED,
    }
    handler = {"class": "logging.StreamHandler", "formatter": "event", "stream": sys.stderr}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"event": formatter},
        "handlers": {"stderr": handler},
        "root": {"level": "INFO", "handlers": ["stderr"]},
        "loggers": {"gunicorn.error": {"level": "INFO", "propagate": True, "qualname": ""}},
    }


def _rendering() -> list[Processor]:
    if sys.stderr.isatty():
        # The default formatter of exceptions shows local variables, including passwords.
        plain = structlog.dev.plain_traceback
        render = structlog.dev.ConsoleRenderer(exception_formatter=plain, repr_native_str=True)
        return [structlog.processors.format_exc_info, _without_values, render]
    json = structlog.processors.JSONRenderer()
    return [structlog.processors.format_exc_info, _without_values, json]


def _without_values(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """Cut the server's words on errors where they come to values of documents."""
    for field, value in event.items():
        if isinstance(value, str):
            event[field] = _VALUES.sub(r"\1…", value)
    return event


def _escape(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """Keep events of libraries on one line."""
    words = str(event["event"])
    event["event"] = "".join(c if c.isprintable() else repr(c)[1:-1] for c in words)
    return event
