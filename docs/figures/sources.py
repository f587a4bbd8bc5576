"""What figures are drawn from: their modules, the modules that these import, and so on, each with a fingerprint."""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: Fields of a syntax tree that tell nothing of what the code does.
_SILENT = {"ctx", "kind", "returns", "type_comment"}


class Sources:
    """The code of a checkout.

    Parameters
    ----------
    root : path-like, optional
        The checkout, with ``nrespipe`` and ``docs/figures``; this one if not given.
    """

    def __init__(self, root: str | Path = ROOT) -> None:
        folders = {"nrespipe": Path(root) / "nrespipe", "figures": Path(root) / "docs/figures"}
        self._paths = {}
        for package, folder in folders.items():
            for path in folder.rglob("*.py"):
                parts = (package, *path.relative_to(folder).with_suffix("").parts)
                self._paths[".".join(parts).removesuffix(".__init__")] = path
        self._read = cache(self._read)

    def of(self, *modules: str) -> dict[str, str]:
        """Return what modules are made from.

        A package counts only where a name is imported that is no module of it: what is in its ``__init__.py`` for
        others does not bear on a figure.

        Parameters
        ----------
        *modules : str
            Full names: ``figures.extraction``, ``figures.simulated`` ...

        Returns
        -------
        dict of str to str
            Fingerprint by name, in alphabetical order: of the modules, of all that they import from the package or
            from the figures, and of the tables of numbers in their folders. Comments, docstrings, layout, types of
            arguments, and the messages of errors do not change a fingerprint.
        """
        found, waiting = {}, list(modules)
        while waiting:
            name = waiting.pop()
            # the package of the figures marks and finds them, and draws nothing
            if name in found or name == "figures":
                continue
            found[name], imported, tables = self._read(name)
            waiting += imported
            found |= tables
        return dict(sorted(found.items()))

    def digest(self, *modules: str) -> str:
        """Return one fingerprint of all that modules are made from.

        Parameters
        ----------
        *modules : str
            Full names.

        Returns
        -------
        str
            Hexadecimal.
        """
        return _digest(repr(self.of(*modules)).encode())

    def _read(self, name: str) -> tuple[str, list[str], dict[str, str]]:
        """Fingerprint of a module, names of the modules that it imports, and fingerprints of the tables beside it."""
        path = self._paths[name]
        tree = ast.parse(path.read_text(encoding="utf-8"))
        tables = sorted(table for kind in ("*.csv", "*.toml") for table in path.parent.glob(kind))
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        fingerprints = {f"{package}.{table.name}": _digest(table.read_bytes()) for table in tables}
        return _digest("".join(_spelled(tree)).encode()), sorted(set(self._imported(tree))), fingerprints

    def _imported(self, tree: ast.AST) -> Iterator[str]:
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names if alias.name in self._paths)
            elif isinstance(node, ast.ImportFrom) and node.module in self._paths:
                names = (f"{node.module}.{alias.name}" for alias in node.names)
                yield from (name if name in self._paths else node.module for name in names)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]


def _spelled(node: object) -> Iterator[str]:
    """Spell out a syntax tree, the same by every version of Python, without what does not bear on a figure."""
    if isinstance(node, list):
        yield "["
        for part in node:
            # an expression that is a constant is a docstring
            if not (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant)):
                yield from _spelled(part)
        yield "]"
    elif isinstance(node, ast.Raise):
        yield from ("Raise", *_spelled(getattr(node.exc, "func", node.exc)))
    elif isinstance(node, ast.AST):
        yield f"{type(node).__name__}("
        for name, value in ast.iter_fields(node):
            told = name not in _SILENT and not (isinstance(node, ast.arg) and name == "annotation")
            # empty fields come and go with the versions
            if told and (isinstance(node, ast.Constant) or value not in (None, [])):
                yield f"{name}="
                yield from _spelled(value)
        yield ")"
    else:
        yield f"{node!r},"
