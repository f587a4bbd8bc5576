"""Log lines: colored text at a terminal, one JSON object a line anywhere else, on standard error."""

import logging
import sys
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, TextIO

import astropy
import structlog

if TYPE_CHECKING:
    from structlog.typing import Processor

#: Fields of the Elastic Common Schema; our own fields go below ``nres``.
_ECS = {"timestamp": "@timestamp", "level": "log.level", "logger": "log.logger", "event": "message"}
_TRACEBACK = {"exception": "error.stack_trace", "stack": "error.stack_trace"}


def configure(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send all log lines of the program and its libraries to one stream.

    Parameters
    ----------
    level
        Least severe lines to log.
    stream
        Where to; standard error if not given.
    """
    stream = sys.stderr if stream is None else stream
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=_renderers(stream)))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.captureWarnings(True)
    # these two tell what they do at length, at INFO
    for name in ("alembic", "sqlalchemy.engine"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    # astropy prints to the terminal by itself: every line would come twice. Its logger must not be asked for by name
    # before astropy has made it, in a class of its own.
    astropy.log.handlers.clear()
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(root.level),
        cache_logger_on_first_use=False,
    )


def _renderers(stream: TextIO) -> "list[Processor]":
    clean = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if stream.isatty():
        # a traceback with the values of variables would show passwords
        return [clean, structlog.dev.ConsoleRenderer(colors=True, exception_formatter=structlog.dev.plain_traceback)]
    return [clean, structlog.processors.format_exc_info, _ecs, structlog.processors.JSONRenderer(default=str)]


def _ecs(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    line = {new: event.pop(old) for old, new in _ECS.items() if old in event}
    line |= {new: event.pop(old) for old, new in _TRACEBACK.items() if old in event}
    if "seconds" in event:
        # the schema counts nanoseconds
        line["event.duration"] = round(event["seconds"] * 1e9)
    return {**line, "service.name": "nrespipe", **{f"nres.{name}": value for name, value in event.items()}}
