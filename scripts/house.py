"""Print the numbers of the house: size and longest parts of each room, import circles, functions that only tests use.

Run ``python scripts/house.py`` anywhere; it needs nothing but Python. Lines of a function are counted without its
docstring. Imports for type checkers alone make no circle; imports inside of functions do. The exit status is 1 where
a limit is passed: a circle, more than 15 modules in a room, or a function of more than 50 lines.
"""

import ast
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MOST_MODULES, MOST_LINES = 15, 50
#: Folders whose code counts as a use of a function, and pages that do so by naming it.
USERS, PAGES = ("nrespipe", "benchmarks", "scripts", "docs"), ("README.rst", "CONTRIBUTING.rst", "docs")
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
DOCUMENTED = (ast.Module, ast.ClassDef, *FUNCTION)


@dataclass(eq=False)
class Module:
    """One file of Python.

    Attributes
    ----------
    name
        Full name, as it is imported; of a script its path.
    """

    path: Path
    name: str
    tree: ast.Module = field(init=False)
    n_lines: int = field(init=False)

    def __post_init__(self):
        text = self.path.read_text(encoding="utf-8")
        self.tree, self.n_lines = ast.parse(text), len(text.splitlines())

    @cached_property
    def room(self):
        """Folder below the package, as people call it: ``engine/orders``; ``.`` for the package itself."""
        return str(self.path.parent.relative_to(ROOT / "nrespipe"))

    @cached_property
    def docstring_lines(self):
        """Lines of all docstrings."""
        return sum(length(docstring(node)) for node in ast.walk(self.tree) if isinstance(node, DOCUMENTED))

    @cached_property
    def functions(self):
        """Lines of the body of each function and method without its docstring, by its name."""
        found = {}
        for node in ast.walk(self.tree):
            if isinstance(node, FUNCTION):
                first = node.body[1 if docstring(node) and len(node.body) > 1 else 0]
                found[node.name] = node.end_lineno - first.lineno + 1
        return found

    @cached_property
    def imports(self):
        """Full names of what each imported name stands for, those for type checkers left out."""
        package = self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]
        names = {}
        for node in without_type_checking(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    first = alias.name.partition(".")[0]
                    # under its full name, which no code uses as one word, for the circles
                    names |= {alias.asname: alias.name} if alias.asname else {first: first, alias.name: alias.name}
            elif isinstance(node, ast.ImportFrom):
                parts = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
                base = ".".join([*parts, *([node.module] if node.module else [])])
                names.update({alias.asname or alias.name: f"{base}.{alias.name}" for alias in node.names})
        return names


def docstring(node):
    """Return the docstring of a module, class or function as a node, or None."""
    first = node.body[0] if node.body else None
    is_value = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return first if is_value and isinstance(first.value.value, str) else None


def length(node):
    """Return the number of lines of a node, 0 for None."""
    return node.end_lineno - node.lineno + 1 if node else 0


def without_type_checking(tree):
    """Yield all nodes but those below ``if TYPE_CHECKING``."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            waiting += node.orelse
        else:
            waiting += ast.iter_child_nodes(node)


def read(folder):
    """Return the modules below a folder of the project by name."""
    paths = sorted((ROOT / folder).rglob("*.py"))
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in paths]
    return {name: Module(path, name) for path, name in zip(paths, names)}


def origin(name, package):
    """Return the full name under which a thing is defined: imports from one module into another are followed."""
    for _ in range(9):
        module, _, thing = name.rpartition(".")
        if name in package or module not in package or thing not in package[module].imports:
            return name
        name = package[module].imports[thing]
    return name


def circles(package):
    """Return the groups of modules that import one another in a circle."""
    needs = {}
    for name, module in package.items():
        targets = {origin(target, package) for target in module.imports.values()}
        targets |= {target.rpartition(".")[0] for target in targets if target not in package}
        needs[name] = (targets & set(package)) - {name}
    reached = {name: reachable(name, needs) for name in needs}
    groups = {frozenset(other for other in reached[name] if name in reached[other]) for name in needs}
    return sorted(sorted(group) for group in groups if group)


def reachable(start, needs):
    """Return all modules that a module imports, directly or through others."""
    seen, waiting = set(), [*needs[start]]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += needs[name]
    return seen


def uses(module, package):
    """Yield the full names of all things of the package that the code of a module names.

    Of a module that is handed on as a value, ``recipes.bias`` for instance, nobody can tell which functions are called:
    it stands for every name in it, ``recipes.bias.*``.
    """
    inner = {id(node.value) for node in ast.walk(module.tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(module.tree):
        if isinstance(node, (ast.Name, ast.Attribute)):
            first, _, rest = ast.unparse(node).partition(".")
            if first in module.imports:
                name = origin(f"{module.imports[first]}{'.' if rest else ''}{rest}", package)
                yield f"{name}.*" if name in package and id(node) not in inner else name
            elif isinstance(node, ast.Name):
                yield f"{module.name}.{node.id}"


def only_tested(package):
    """Return the public functions that no code but that of the tests names, and no page."""
    others = {name: module for folder in USERS for name, module in read(folder).items()}
    used = {name for module in others.values() for name in uses(module, package)}
    # the public face loads what it offers by name
    used |= {
        f"{node.module}.{alias.name}"
        for node in (ast.walk(package["nrespipe"].tree) if "nrespipe" in package else ())
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    pages = [path for page in PAGES for path in [ROOT / page, *(ROOT / page).rglob("*.rst")] if path.is_file()]
    told = " ".join(path.read_text(encoding="utf-8") for path in pages)
    found = []
    for name, module in package.items():
        for node in module.tree.body:
            # a decorator that is an attribute registers the function: a command, a task
            if not isinstance(node, FUNCTION) or any("." in ast.unparse(one) for one in node.decorator_list):
                continue
            short = f"{name.rpartition('.')[2]}.{node.name}"
            if node.name[0] != "_" and not {f"{name}.{node.name}", f"{name}.*"} & used and short not in told:
                found.append(f"{name}.{node.name}")
    return sorted(found)


def main():
    """Print the table and the lists; return the exit status."""
    # migrations are written once, and nobody calls their functions by name
    package = {name: module for name, module in read("nrespipe").items() if "versions" not in module.path.parts}
    rooms = defaultdict(list)
    for module in package.values():
        rooms[module.room].append(module)
    row = "{:28}{:>8}{:>8}{:>12}  {:36}{}".format
    print(row("room", "modules", "lines", "docstrings", "longest module", "longest function"))
    wrong = False
    for room, modules in [*sorted(rooms.items()), ("all", [*package.values()])]:
        inside = [module for module in modules if module.path.name != "__init__.py"]
        longest = max(modules, key=lambda module: module.n_lines)
        lengths = {f"{m.path.stem}.{name}": length for m in modules for name, length in m.functions.items()}
        function = max(lengths, key=lengths.get, default="")
        n_lines = sum(module.n_lines for module in modules)
        share = f"{sum(module.docstring_lines for module in modules) / max(n_lines, 1):.0%}"
        most = f"{function} {lengths[function]}" if function else ""
        print(row(room, len(inside), n_lines, share, f"{longest.path.stem} {longest.n_lines}", most))
        wrong |= max(lengths.values(), default=0) > MOST_LINES or (room != "all" and len(inside) > MOST_MODULES)
    for title, lines in (
        ("import circles", [" <-> ".join(group) for group in circles(package)]),
        ("public functions that only tests use", only_tested(package)),
    ):
        print(f"\n{title}: {len(lines)}")
        for line in lines:
            print(f"    {line}")
        wrong |= title == "import circles" and bool(lines)
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
