"""Every environment variable, typed, read once."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource

from nrespipe.settings.fields import Settings
from nrespipe.settings.validators import MEMORY, is_private

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

__all__ = ["MEMORY", "Settings", "change", "is_private", "names", "read"]


def read(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings.

    Parameters
    ----------
    environment
        Variables by name; a blank one counts as absent.

    Raises
    ------
    ValueError
        If a variable has a value that it cannot have; the message names the variable and what it expects. It does not
        repeat the value, which may be a password that was put in the wrong place.
    """
    source = EnvSettingsSource(Settings)
    source.env_vars = {name: environment[name] for name in names() if name in environment}
    return _built(source())


def change(given: Settings, **others: Any) -> Settings:
    """Return settings with some of them changed.

    Parameters
    ----------
    given
        The others stay as they are.
    **others
        By the names of the fields; they are checked like those of the environment.

    Raises
    ------
    ValueError
        As `read` does.
    """
    return _built({**dict(given), **others})


def names() -> list[str]:
    """Return the names of all variables."""
    return list(_fields_by_variable())


def _built(values: Mapping[str, Any]) -> Settings:
    try:
        return Settings(**values)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)
    raise ValueError("; ".join(dict.fromkeys(map(_refusal, wrong))))


def _refusal(wrong: "ErrorDetails") -> str:
    """Say what a variable expects, without what it has."""
    if not wrong["loc"]:
        return str(wrong["ctx"]["error"])
    # a value of the environment is located by its variable, one that a program gave by its field
    where = str(wrong["loc"][0])
    by_variable = _fields_by_variable()
    variable = where if where in by_variable else str(Settings.model_fields[where].validation_alias)
    (expected,) = by_variable[variable].examples or ("another one",)
    return f"{variable} has a value that it cannot have; expected {expected}"


def _fields_by_variable() -> "dict[str, FieldInfo]":
    return {str(field.validation_alias): field for field in Settings.model_fields.values()}
