"""The log: one line per event, for people on a terminal, as JSON otherwise.

Events are named with fields; nothing that somebody typed goes into them but names in paths.
What libraries log (gunicorn, PyMongo) takes the same way.
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
    """What ``logging`` and gunicorn are configured with."""
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
        # The default formatter of exceptions would show local variables, passwords among them.
        plain = structlog.dev.plain_traceback
        return [structlog.dev.ConsoleRenderer(exception_formatter=plain, repr_native_str=True)]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]


def _escape(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """Have no event of a library break the line."""
    words = str(event["event"])
    event["event"] = "".join(c if c.isprintable() else repr(c)[1:-1] for c in words)
    return event
