"""Build the package; everything declarative is in pyproject.toml."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithCatalog(build_py):
    """Put the catalog of stars, which people mend at the top of the repository, beside the module that reads it."""

    def run(self):
        """Build the modules, then add the catalog; an editable installation reads it where it is."""
        super().run()
        if not self.editable_mode:
            self.copy_file("targets.csv", str(Path(self.build_lib, "nrespipe", "files", "catalog", "targets.csv")))


setup(cmdclass={"build_py": BuildWithCatalog})
