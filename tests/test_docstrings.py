"""Every public name has a docstring in the numpydoc form that says what its types do not: shapes, units, meaning."""

import functools
import importlib
import inspect
import pkgutil
import re
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path

import numpy as np
import pytest
from numpydoc.docscrape import get_doc_object
from numpydoc.validate import validate

import nrespipe

#: What must hold. Not asked for: sections that would only be filled for the sake of it (ES01 extended summary, SA01 see
#: also, EX01 examples), and a capital letter at the start of a description, which may begin with a symbol (PR08, RT04).
RULES = {
    "GL01", "GL03", "GL05", "GL06", "GL07", "GL08", "GL10",  # a docstring, its sections known and in order
    "SS01", "SS02", "SS03", "SS04", "SS05", "SS06",  # a one-line summary: capital, verb in the imperative, period
    "PR01", "PR02", "PR03", "PR04", "PR05", "PR06", "PR07", "PR09", "PR10",  # every parameter: type and meaning
    "RT01", "RT05", "YD01",  # what comes back
}  # fmt: skip
#: Rules about parameters: a dataclass documents its fields instead, a class without a constructor has none.
CONSTRUCTOR = {"PR01", "PR02", "PR03"}


def modules():
    """Return the modules of the package, without the migrations of the database, which Alembic generates."""
    walk = pkgutil.walk_packages(nrespipe.__path__, "nrespipe.")
    return ["nrespipe", *(m.name for m in walk if ".migrations" not in m.name and not m.name.endswith("__main__"))]


def plain(member):
    """Return what stands under a decorator or a compiled kernel; properties and classes as they are."""
    if isinstance(member, functools.cached_property):
        return property(member.func)
    if isinstance(member, classmethod | staticmethod):
        return member.__func__
    return member if isinstance(member, property) else inspect.unwrap(getattr(member, "py_func", member))


def public(namespace, module):
    """Yield names and objects: the public functions and classes that a module defines, their methods and properties.

    A method that fills in one of a base class from elsewhere is left out: its contract stands there.
    """
    inherited = {name for base in getattr(namespace, "__mro__", ())[1:] for name in vars(base)}
    for name, member in vars(namespace).items():
        member = plain(member)
        owner = member.fget if isinstance(member, property) else member
        if name.startswith("_") or name in inherited or getattr(owner, "__module__", None) != module:
            continue
        if inspect.isclass(member):
            yield member.__qualname__, member
            yield from public(member, module)
        elif inspect.isfunction(owner):
            yield owner.__qualname__, member


def complaints(member):
    """Return what is wrong with the docstring of a function, a property or a class."""
    ignored = set()
    if isinstance(member, property):
        ignored = {"SS02", "RT01"}  # a noun; its type is annotated
    elif inspect.isclass(member) and getattr(member.__init__, "__module__", None) != member.__module__:
        ignored = CONSTRUCTOR
    if is_dataclass(member):
        ignored = CONSTRUCTOR
    documentation = get_doc_object(member)
    clear, types = _clear_parameters(documentation), _annotations(member)
    summary = " ".join(documentation["Summary"])
    if _says_itself(types.get("return", "")) or ("return" in types and summary.startswith(("Return", "Yield"))):
        ignored = ignored | {"RT01", "YD01"}
    found = []
    for code, text in validate(documentation)["errors"]:
        if code == "PR01":
            # those of one function in one message: {'x', 'y'}
            lacking = {name.lstrip("*") for name in re.findall(r"'([^']+)'", text)}
            lacking = {name for name in lacking if not _says_itself(types.get(name, ""), name)}
            text = f"Parameters {sorted(lacking)} not documented"
            if not lacking:
                continue
        elif code in ("PR04", "PR07") and text.split('"')[1].lstrip("*") in (
            clear | (set(types) if code == "PR04" else set())
        ):
            continue
        if code in RULES - ignored:
            found.append(f"{code} {text}")
    found += [
        f"the type of {entry.name} is written twice"
        for entry in documentation["Parameters"] + documentation["Attributes"]
        if entry.type
        and not re.match("(each of )?shape ", entry.type)
        and all(name.lstrip("*") in types for name in entry.name.split(", "))
    ]
    if is_dataclass(member):
        documented = {name for entry in documentation["Attributes"] for name in entry.name.split(", ")}
        found += [f"field {f.name} is not documented" for f in fields(member) if f.name not in documented]
    return found


def _annotations(member):
    """Annotations of a function or of the fields of a class, as they are written."""
    if isinstance(member, property):
        member = member.fget
    if inspect.isclass(member):
        owners = [member, member.__init__] if "__init__" in vars(member) else [member]
    else:
        owners = [member]
    found = {}
    for owner in owners:
        found |= getattr(owner, "__annotations__", {})
    return {name: kind if isinstance(kind, str) else inspect.formatannotation(kind) for name, kind in found.items()}


def _says_itself(annotation, name=""):
    """Return whether a type says enough: one that holds numbers has a shape or a unit, unless its name has the unit."""
    if not annotation or re.search(r"_(ms|s|h|k|e|mb|px|pixel|angstrom|nm|deg|mjd|days|bytes|rows|columns)$", name):
        return bool(annotation)
    numbers = r"\b(float|floating|ndarray|NDArray|Floats|Integers|Booleans|ArrayLike)\b"
    return annotation != "Any" and not re.search(numbers, annotation)


@pytest.mark.parametrize("name", modules())
@pytest.mark.slow
def test_every_public_name_of_the_module_is_documented(name):
    module = importlib.import_module(name)
    wrong = {} if module.__doc__ or not _source(module) else {name: ["the module has no docstring"]}
    for what, member in public(module, name):
        if errors := complaints(member):
            wrong[f"{name}.{what}"] = errors
    assert not wrong, "\n".join(f"{where}: {'; '.join(errors)}" for where, errors in wrong.items())


def test_a_bad_docstring_is_found():
    def undocumented():
        pass

    def half(x, y):
        """Return the half.

        Parameters
        ----------
        x : float
            What to halve.
        """
        return x / 2

    def double(x, y, image):
        """Return the double.

        Parameters
        ----------
        x
            What to double.
        y : float
        image : Image

        Returns
        -------
        float
        """
        return 2 * x

    def third_person():
        """Returns nothing of interest"""

    def typed(flux: np.ndarray, name: str, factor: float, exposure_s: float) -> np.ndarray:
        """Scale the flux.

        Parameters
        ----------
        name : str
            Of the frame.
        """
        return flux * factor / exposure_s

    @dataclass
    class Point:
        """A point.

        Attributes
        ----------
        x
            Abscissa [pixel].
        """

        x: float
        y: float

    assert [c[:4] for c in complaints(undocumented)] == ["GL08"]
    assert {c[:4] for c in complaints(half)} == {"PR01", "RT01"}
    assert [c[:4] for c in complaints(double)] == ["PR04", "PR07"]
    assert {c[:4] for c in complaints(third_person)} == {"SS03", "SS05"}
    assert complaints(typed) == [
        "PR01 Parameters ['factor', 'flux'] not documented",
        "RT01 No Returns section found",
        "the type of name is written twice",
    ]
    assert complaints(Point) == ["field y is not documented"]


def _clear_parameters(documentation):
    """Names of parameters that lack a type or a description and are clear all the same.

    The type is one of our nouns, which says what it is (``spectrograph : Spectrograph``); or the entry refers to
    another function that tells both (``As in `extract`.``).
    """
    if inspect.isclass(documentation._obj) or isinstance(documentation._obj, property):
        return set()
    entries = documentation["Parameters"]
    clear = [e.name for e in entries if e.type[:1].isupper() or " ".join(e.desc).startswith(("As in ", "As for "))]
    return {name for names in clear for name in names.split(", ")}


def _source(module):
    return Path(module.__file__).read_text(encoding="utf-8").strip()
