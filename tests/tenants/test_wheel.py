"""What applications install: the library alone, with PyMongo and nothing else."""

import os
import re
import subprocess
import sysconfig
import zipfile
from pathlib import Path

import pytest

from portal.tenants.unsupported import INSTEAD, INSTEAD_OF_RESULT
from tests.environments import TOP, build_wheel, install, make_environment, needs_of

LIBRARY = TOP / "portal" / "tenants"
OWN_TESTS = "tests/tenants/library"
LOWEST_TESTS = ("reading", "streams", "writing")
SITE_PACKAGES = Path(sysconfig.get_path("purelib"))
# As a command, or by PyMongo's method. Only what tests applications needs any.
CHANGES_COLLECTIONS = re.compile(
    r"renameCollection|collMod|dropDatabase|\{\"(drop|create)\":|\.(rename|drop)\(|"
    r"\.(drop|create)_(collection|database)\("
)
ALONE = """
import portal_tenants, portal_tenants.testing, sys
print(portal_tenants.__file__, *sorted(name for name in sys.modules if name.startswith("portal")))
"""


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    return build_wheel(tmp_path_factory.mktemp("wheels"))


@pytest.fixture(scope="session")
def python(wheel, tmp_path_factory):
    """Python in an environment with the wheel and PyMongo."""
    return make_environment(tmp_path_factory.mktemp("environment"), wheel, "pymongo")


@pytest.mark.processes
def test_the_wheel_has_the_library_and_no_way_to_rename_or_drop(wheel):
    assert re.fullmatch(r"portal_tenants-[\d.]+-py3-none-any\.whl", wheel.name)
    with zipfile.ZipFile(wheel) as unpacked:
        names = set(unpacked.namelist())
        assert [need.name for need in needs_of(wheel)] == ["pymongo"]
        assert "portal_tenants/py.typed" in names
        assert {"portal_tenants/_sync/tenants.py", "portal_tenants/testing.py"} <= names
        assert not {"portal_tenants/births.py", "portal_tenants/collections.py"} & names
        assert not [name for name in names if ".." in name or name.startswith("portal/")]
        assert not [name for name in names if name.startswith("portal_tenants/moving")]
        for name in {each for each in names if not each.endswith(("/testing.py", "/METADATA"))}:
            assert not CHANGES_COLLECTIONS.search(unpacked.read(name).decode()), name


@pytest.mark.processes
def test_the_wheel_needs_pymongo_alone(python):
    told = subprocess.run([python, "-I", "-c", ALONE], capture_output=True, text=True, check=True)
    file, *modules = told.stdout.split()
    assert Path(file).is_relative_to(python.parents[1])
    assert modules
    assert all(name.startswith("portal_tenants") for name in modules)


@pytest.mark.processes
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "chosen",
    [
        "(rename_before_it and one) or rights_alone or child or each_change_once",
        pytest.param("", marks=pytest.mark.full),
    ],
)
def test_the_librarys_own_tests_pass_over_the_wheel(python, server, chosen, tmp_path):
    check_own_tests(python, server, tmp_path, "-k", chosen, OWN_TESTS)


@pytest.mark.full
@pytest.mark.processes
@pytest.mark.timeout(900)
def test_the_librarys_own_tests_pass_over_the_lowest_pymongo_that_it_takes(wheel, server, tmp_path):
    [need] = needs_of(wheel)
    [lowest] = [each.version for each in need.specifier if each.operator == ">="]
    python = make_environment(tmp_path / "environment", wheel)
    install(python, f"{need.name}=={lowest}")
    chosen = [f"{OWN_TESTS}/test_{part}.py" for part in LOWEST_TESTS]
    check_own_tests(python, server, tmp_path, *chosen)


def check_own_tests(python, server, tmp_path, *chosen):
    """The library's own tests pass in an environment with the wheel."""
    packages = next(python.parents[1].glob("lib/python*/site-packages"))
    (packages / "pytest.pth").write_text(f"{SITE_PACKAGES}\n")  # behind the wheel and PyMongo
    told = subprocess.run(
        [python, "-m", "pytest", "-c", os.devnull, "--rootdir", TOP, "--confcutdir", OWN_TESTS,
         "-p", "no:cacheprovider", "-p", "no:randomly", "-q", "--basetemp", tmp_path / "wheel",
         "--override-ini", "markers=slow\nprocesses\nfull\neach_case", *chosen],
        cwd=TOP, capture_output=True, text=True, check=False,
        env={**os.environ, "TENANTS_LIBRARY": "portal_tenants", "TENANTS_SERVER": server.admin_uri},
    )  # fmt: skip
    assert told.returncode == 0, told.stdout + told.stderr
    assert re.search(r"\d\d+ passed", told.stdout)


def test_what_isnt_offered_stands_in_the_readme_with_what_to_use():
    readme = (LIBRARY / "README.md").read_text()
    table = readme.split("## What isn't offered")[1].split("##")[0]
    assert INSTEAD.keys() | INSTEAD_OF_RESULT.keys() <= set(re.findall(r"\w+", table))
