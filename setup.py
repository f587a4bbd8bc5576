"""Build the package; everything declarative is in pyproject.toml."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithCatalog(build_py):
    """Put the catalog of stars, which stands at the top of the repository, beside the module that reads it."""

    def run(self):
        """Copy the modules, then the catalog."""
        super().run()
        catalog = Path(__file__).with_name("targets.csv")
        if catalog.is_file() and not self.editable_mode:
            target = Path(self.build_lib, "nrespipe", "files", "targets.csv")
            self.mkpath(str(target.parent))
            self.copy_file(str(catalog), str(target))


setup(cmdclass={"build_py": BuildWithCatalog})
