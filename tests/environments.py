"""Python environments as applications have them: the library's wheel, and what is named."""

import email
import importlib.metadata
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

from packaging.requirements import Requirement

TOP = Path(__file__).parent.parent


def build_wheel(folder):
    """The library's wheel, built into the folder as ``make wheel`` does."""
    build = (sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check")
    options = ("--no-deps", "--no-build-isolation", "--wheel-dir", folder)
    subprocess.run([*build, *options, TOP / "portal" / "tenants"], check=True)
    [built] = folder.iterdir()
    return built


def make_environment(folder, wheel, *distributions):
    """Python in an environment with the wheel, the distributions and what those need, as they are
    installed here, and nothing else."""
    venv.create(folder, symlinks=True)
    packages = next(folder.glob("lib/python*/site-packages"))
    with zipfile.ZipFile(wheel) as unpacked:
        unpacked.extractall(packages)
    for installed in _needed(distributions):
        for top in {file.parts[0] for file in installed.files if file.parts[0] != ".."}:
            if not (packages / top).exists():
                (packages / top).symlink_to(installed.locate_file(top))
    return folder / "bin" / "python"


def needs_of(wheel):
    """What a wheel requires."""
    with zipfile.ZipFile(wheel) as unpacked:
        [metadata] = [name for name in unpacked.namelist() if name.endswith("METADATA")]
        described = email.message_from_bytes(unpacked.read(metadata))
    return [Requirement(each) for each in described.get_all("Requires-Dist")]


def install(python, *requirements):
    """Install what isn't installed here, from the package index."""
    packages = next(python.parents[1].glob("lib/python*/site-packages"))
    command = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    subprocess.run([*command, "--target", packages, *requirements], check=True)


def _needed(names):
    found = {}
    names = list(names)
    while names:
        name = names.pop()
        if name not in found:
            found[name] = importlib.metadata.distribution(name)
            needs = map(Requirement, found[name].requires or ())
            names += [need.name for need in needs if not need.marker or need.marker.evaluate()]
    return found.values()
