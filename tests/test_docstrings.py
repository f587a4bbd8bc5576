"""Every public name has a docstring in the numpydoc form that says what goes in and what comes out."""

import functools
import importlib
import inspect
import pkgutil
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path

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
        ignored = {"SS02"}  # it opens with its type
    elif inspect.isclass(member) and getattr(member.__init__, "__module__", None) != member.__module__:
        ignored = CONSTRUCTOR
    if is_dataclass(member):
        ignored = CONSTRUCTOR
    documentation = get_doc_object(member)
    clear = _clear_parameters(documentation)
    found = [
        f"{code} {text}"
        for code, text in validate(documentation)["errors"]
        if code in RULES - ignored and not (code in ("PR04", "PR07") and text.split('"')[1] in clear)
    ]
    if is_dataclass(member):
        documented = {name for entry in get_doc_object(member)["Attributes"] for name in entry.name.split(", ")}
        found += [f"field {f.name} is not documented" for f in fields(member) if f.name not in documented]
    return found


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

    @dataclass
    class Point:
        """A point.

        Attributes
        ----------
        x : float
            Abscissa [pixel].
        """

        x: float
        y: float

    assert [c[:4] for c in complaints(undocumented)] == ["GL08"]
    assert {c[:4] for c in complaints(half)} == {"PR01", "RT01"}
    assert [c[:4] for c in complaints(double)] == ["PR04", "PR07"]
    assert {c[:4] for c in complaints(third_person)} == {"SS03", "SS05"}
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
