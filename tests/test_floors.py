"""No import runs up a floor: docs/architecture.md says which room stands where."""

import ast
import gc
import re
from pathlib import Path

TOP = Path(__file__).parent.parent
ROW = re.compile(r"^\| (\d|aside) \| `([\w/]+)` \| [^|]+ \|([^|]*)\|$", re.M)
ROOMS = {
    room: (floor, re.findall(r"`([\w/]+)`", neighbours))
    for floor, room, neighbours in ROW.findall((TOP / "docs" / "architecture.md").read_text())
}
MODULES = {
    ".".join(path.relative_to(TOP).with_suffix("").parts).removesuffix(".__init__"): path
    for path in (TOP / "portal").rglob("*.py")
}


def room_of(module):
    """The innermost room that a module, or the module of a name, stands in."""
    parts = module.split(".")[1:]
    rooms = ("/".join(parts[:end]) for end in range(len(parts), 0, -1))
    return next((room for room in rooms if room in ROOMS), "portal")


def parse(path):
    # Python 3.11 raises SystemError where garbage is collected meanwhile that has a traceback
    # told, for which it parses as well.
    gc.disable()
    try:
        return ast.parse(path.read_text())
    finally:
        gc.enable()


def imports_of(path):
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        if isinstance(node, ast.ImportFrom):
            module = node.module
            if node.level:  # in the library, which has two names
                parts = path.relative_to(TOP).parts[: -node.level]
                assert parts[:2] == ("portal", "tenants"), f"{path}: a relative import"
                module = ".".join([*parts, *filter(None, [node.module])])
            names = [f"{module}.{name.name}" for name in node.names]
            yield from (name if name in MODULES else module for name in names)


def is_allowed(room, other):
    (floor, neighbours), (below, _) = ROOMS[room], ROOMS[other]
    if room == "tenants" or below == "aside":
        return False
    return floor == "aside" or below < floor or other in neighbours


def test_every_room_stands_on_a_floor():
    assert {room_of(module) for module in MODULES} == set(ROOMS)


def test_no_import_runs_up():
    broken = [
        f"{module} imports {imported}"
        for module, path in MODULES.items()
        for imported in imports_of(path)
        if imported.split(".")[0] == "portal"
        if room_of(module) != room_of(imported)
        if not is_allowed(room_of(module), room_of(imported))
    ]
    assert broken == []


def test_what_serves_and_sets_up_starts_without_the_application():
    """``make run`` would take twice as long until it is ready."""
    serving = {module for module in MODULES if module.startswith("portal.serving.")}
    serving.remove("portal.serving.worker")  # it is gunicorn's, which has imported all
    reached = set()
    while reached != serving:
        reached = serving.copy()
        serving |= {name for one in reached for name in imports_of(MODULES[one]) if name in MODULES}
    assert {room_of(module) for module in reached} & {"app", "cli"} == set()


def test_neighbours_import_each_other_in_one_direction():
    for room, (floor, neighbours) in ROOMS.items():
        for other in neighbours:
            assert ROOMS[other][0] == floor
            assert room not in ROOMS[other][1]


def test_a_newcomer_meets_few_modules_at_the_top():
    assert len(list((TOP / "portal").glob("*.py"))) <= 9
