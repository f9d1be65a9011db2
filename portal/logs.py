"""The log: one line per event, readable on a terminal, JSON otherwise.

Events have names and fields; the only user input in them are names in paths. Logs of libraries
(gunicorn, PyMongo) go the same way.
"""

import logging.config
import sys
from typing import Any

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor, WrappedLogger

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
        return [structlog.dev.ConsoleRenderer(exception_formatter=plain, repr_native_str=True)]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]


def _escape(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """Keep events of libraries on one line."""
    words = str(event["event"])
    event["event"] = "".join(c if c.isprintable() else repr(c)[1:-1] for c in words)
    return event
