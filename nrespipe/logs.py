"""Log lines on standard error: text for people, or one JSON object a line for programs."""

import logging
import sys
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, Literal, TextIO

import astropy
import structlog

if TYPE_CHECKING:
    from structlog.typing import Processor

#: Fields of the Elastic Common Schema; our own fields go below ``nres``.
_ECS = {"timestamp": "@timestamp", "level": "log.level", "logger": "log.logger", "event": "message"}
_TRACEBACK = {"exception": "error.stack_trace", "stack": "error.stack_trace"}


#: Text, JSON, or text at a terminal and JSON anywhere else.
Form = Literal["text", "json", "auto"]

_chosen: tuple[str, Form] = ("INFO", "auto")


def configure(level: str = "INFO", form: Form = "auto", stream: TextIO | None = None) -> None:
    """Send all log lines of the program and its libraries to one stream.

    Parameters
    ----------
    level
        Least severe lines to log.
    form
        Form of the lines.
    stream
        Where to; standard error if not given.
    """
    global _chosen
    _chosen = level, form
    stream = sys.stderr if stream is None else stream
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = logging.StreamHandler(stream)
    renderers = _renderers(form, stream)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=renderers))
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


def chosen() -> tuple[str, Form]:
    """Return level and form as last configured, for processes that log like this one."""
    return _chosen


def _renderers(form: Form, stream: TextIO) -> "list[Processor]":
    clean = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    is_terminal = stream.isatty()
    if form == "text" or (form == "auto" and is_terminal):
        # a traceback with the values of variables would show passwords
        text = structlog.dev.ConsoleRenderer(colors=is_terminal, exception_formatter=structlog.dev.plain_traceback)
        # a progress bar may stand where the line begins: it is drawn again below
        return [clean, lambda *event: f"\r\x1b[K{text(*event)}" if is_terminal else text(*event)]
    return [clean, structlog.processors.format_exc_info, _ecs, structlog.processors.JSONRenderer(default=str)]


def _ecs(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    line = {new: event.pop(old) for old, new in _ECS.items() if old in event}
    line |= {new: event.pop(old) for old, new in _TRACEBACK.items() if old in event}
    if "seconds" in event:
        # the schema counts nanoseconds
        line["event.duration"] = round(event["seconds"] * 1e9)
    return {**line, "service.name": "nrespipe", **{f"nres.{name}": value for name, value in event.items()}}
