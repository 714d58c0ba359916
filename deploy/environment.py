"""Makes the virtual environment of `make demo` or `make test`: Python's version checked, pip's downloads shown.

    python3 deploy/environment.py VENV EXTRAS [PIP FLAGS ...]

Needs the standard library alone, since nothing is installed yet.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

LOWEST = (3, 11)
SHOWN = ("Downloading ", "Using cached ", "Building ", "ERROR", "error:", "Successfully installed")
"""How the lines of pip begin that a user wants to see."""


def main(arguments: list[str]) -> int:
    """Create the environment if it is absent and install the project with `extras` into it, editable."""
    if sys.version_info < LOWEST:
        needed = ".".join(map(str, LOWEST))
        print(f"ear-teacher needs Python {needed} or newer; {sys.executable} is {sys.version.split()[0]}.")
        print(f"Name another one: make PYTHON=python{needed} ...")
        return 1
    folder, extras, *flags = arguments
    python = Path(folder) / "bin" / "python"
    if not python.exists() and not create(folder):
        return 1
    print(f"Installing the extras {extras} into {folder}; what is not in pip's cache is downloaded:", flush=True)
    command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off", *flags]
    return shown([*command, "--constraint", "constraints.txt", "--editable", f".[{extras}]"])


def create(folder: str) -> bool:
    """Make an empty environment with pip. Debian keeps `ensurepip` in a package of its own."""
    try:
        venv.create(folder, with_pip=True, symlinks=True)
    except subprocess.CalledProcessError:
        print(f"python cannot make an environment in {folder}: on Debian and Ubuntu, apt-get install python3-venv")
        return False
    return True


def shown(command: list[str]) -> int:
    """Run pip, print the lines that matter, and return its exit status."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if (text := line.strip()).startswith(SHOWN):
            print(f"  {text[:160]}", flush=True)
    return process.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
