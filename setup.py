"""Has npm build the page of `neuralart export --format web` into a wheel; see pyproject.toml.

Without npm the wheel is made without the page, and the command says what is missing.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
PAGE = HERE / "neuralart" / "data" / "web"


class BuildWithPage(build_py):
    """Copies the package, and the page if it is built already or can be built."""

    def run(self) -> None:
        if not self.editable_mode and shutil.which("npm") and not (PAGE / "sw.js").exists():
            for command in (["ci", "--silent", "--no-audit", "--no-fund"], ["run", "build"]):
                subprocess.run(["npm", *command], cwd=HERE / "web", check=True)
        super().run()


setup(cmdclass={"build_py": BuildWithPage})
