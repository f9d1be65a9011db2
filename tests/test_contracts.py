"""What types and decorators say in place of prose, and what is listed once."""

import ast
import importlib
import inspect
import re
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import pytest
from bson import ObjectId
from mongoengine import Document

from portal import settings
from portal.app import workers
from portal.app.parts import BACKGROUND, DOCUMENTS, MAIL_KINDS
from portal.database import background
from portal.database.cascade import BELONGS_TO
from portal.database.transactions import NotInTransaction, transaction, transactional
from portal.doctor.leftovers import BELONGINGS
from portal.documents import MasterDocument
from portal.documents.accounts import Account
from portal.documents.organizations import OperationKind, Organization, Slug
from portal.errors import PortalError
from portal.mail.outbox import MailKind
from portal.organizations.lifecycle.names import OrganizationName, parse_name
from portal.organizations.lifecycle.plans import PLANS
from portal.organizations.usage import metering
from portal.settings.instance import SHOWS_FIRST_LINK
from portal.web.context import AuditActor
from tests.factories import a_context

TOP = Path(__file__).parent.parent
MODULES = {
    ".".join(path.relative_to(TOP).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((TOP / "portal").rglob("*.py"))
}
# It serves; importing it would change this process.
ALL_MODULES = [
    importlib.import_module(name) for name in MODULES if not name.startswith("portal.serving")
]


def decorated_with(decorator):
    sources = {name: path.read_text() for name, path in MODULES.items()}
    for name, source in sources.items():
        if f"@{decorator}" not in source:
            continue  # to parse all of them takes a second of each worker
        for node in ast.parse(source).body:
            if isinstance(node, ast.FunctionDef) and any(
                isinstance(found, ast.Name) and found.id == decorator
                for found in node.decorator_list
            ):
                yield f"{name}.{node.name}"


def values_of(kind):
    """Every value of this kind at the top of a module, each once."""
    return {
        id(value): value
        for module in ALL_MODULES
        for value in vars(module).values()
        if isinstance(value, kind)
    }.values()


@pytest.mark.parametrize("function", sorted(decorated_with("within_transaction")))
def test_what_needs_a_transaction_is_refused_outside_of_one(app, function):
    module, _, name = function.rpartition(".")
    with pytest.raises(NotInTransaction):
        getattr(importlib.import_module(module), name)()


def test_what_is_transactional_happens_whole_or_not_at_all(app):
    @transactional
    def claim_two(first, second):
        Slug(id=first, organization=ObjectId(), state="current").save(force_insert=True)
        if second is None:
            raise ZeroDivisionError
        Slug(id=second, organization=ObjectId(), state="current").save(force_insert=True)
        return len(Slug.objects)

    with pytest.raises(ZeroDivisionError):
        claim_two("a", None)
    assert not Slug.objects
    assert claim_two("a", "b") == 2
    with pytest.raises(RuntimeError):
        transaction(lambda: claim_two("c", "d"))


@pytest.mark.parametrize(
    "value", [a_context(), AuditActor(), parse_name("Acme Corp")], ids=lambda v: type(v).__name__
)
def test_a_value_that_travels_is_never_changed(value):
    with pytest.raises(FrozenInstanceError):
        setattr(value, next(iter(value.__dataclass_fields__)), "changed")


def test_a_context_that_acts_as_somebody_else_leaves_the_callers_as_it_was():
    context, account = a_context(), ObjectId()
    assert context.acting_as(AuditActor(account)).origin.account == account
    assert context.account is None
    assert context.origin.request_id == context.request_id


def test_a_name_carries_its_slug_and_collection():
    assert parse_name("  Acme   Corp ") == OrganizationName("Acme Corp", "acme-corp")
    assert parse_name("Acme Corp").collection == "org_acme_corp"


def test_every_kind_of_operation_has_one_plan():
    assert [plan.kind for plan in PLANS] == list(OperationKind)


def test_every_kind_of_mail_is_listed_once_and_has_its_templates():
    assert len({kind.name for kind in MAIL_KINDS}) == len(MAIL_KINDS)
    assert {kind.name for kind in values_of(MailKind)} == {kind.name for kind in MAIL_KINDS}
    for kind in MAIL_KINDS:
        for ending in ("txt", "html"):
            assert (TOP / "templates" / "mails" / f"{kind.name}.{ending}").exists()


def test_every_document_is_listed_once():
    defined = {
        value
        for module in ALL_MODULES
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, Document)
        if value not in (Document, MasterDocument)
    }
    assert len(set(DOCUMENTS)) == len(DOCUMENTS)
    assert {document.__name__ for document in defined} == {d.__name__ for d in DOCUMENTS}


def test_what_belongs_to_something_is_looked_after_by_the_doctor():
    """Slugs have checks of their own."""
    assert {one.document for one in BELONGINGS} == {one.document for one in BELONGS_TO} - {Slug}
    assert {one.owner for one in BELONGS_TO} == {Account, Organization}


def test_errors_stand_in_errors_py_or_beside_the_one_thing_they_are_of():
    allowed = {"portal.errors", "portal.display_names", "portal.email_addresses"}
    for module in ALL_MODULES:
        for value in vars(module).values():
            if inspect.isclass(value) and issubclass(value, PortalError):
                assert value.__module__.endswith(".errors") or value.__module__ in allowed


@pytest.fixture
def loops(app, monkeypatch):
    """The names of the loops of a worker that has all of them, none of which runs."""
    idle = SimpleNamespace(start=lambda: None)
    threads = SimpleNamespace(Thread=lambda *_, **__: idle, Event=Event)
    monkeypatch.setattr(background, "threading", threads)
    monkeypatch.setattr(background, "LOOPS", [])
    monkeypatch.setattr(metering, "_reporter", idle)
    monkeypatch.setenv(SHOWS_FIRST_LINK, "1")
    old = settings.current()
    settings.activate(replace(old, secret_key_fallbacks=(old.secret_key,)))
    try:
        workers.start_background(app)
    finally:
        settings.activate(old)
    return [loop.name for loop in background.LOOPS]


def test_the_architecture_names_each_loop_of_a_worker(loops):
    row = re.search(r"^\| worker \|.+$", (TOP / "docs" / "architecture.md").read_text(), re.M)
    assert sorted(re.findall(r"`([\w.]+)`", row[0])) == sorted(loops)


def test_every_loop_is_started_by_the_worker():
    starting = {name for name, path in MODULES.items() if "start_loop(" in path.read_text()}
    starting -= {"portal.database.background", "portal.organizations.lifecycle.engine"}
    started = {start.__module__ for start in BACKGROUND} - {metering.__name__}
    assert starting - started == {
        "portal.database.heartbeats",
        "portal.database.periodic",
        "portal.mail.sender",
    }
    assert started <= starting


# Of what was typed as a condition or an index, still to be moved.
SENTENCES_TO_MOVE = {
    "portal.data.conditions",
    "portal.data.condition_values",
    "portal.data.indexes.listing",
    "portal.data.queries",
    "portal.data.shell_syntax",
}
# A parser's phrases for what is wrong at a place, each beside the check that finds it.
PHRASES_AT_A_PLACE = {
    "portal.data.extended_json",
    "portal.data.importing",
    "portal.data.json_types",
}


def is_error(value):
    return inspect.isclass(value) and issubclass(value, PortalError)


def makes_error(call, module):
    """Tell whether a call makes an error: by its class, or by another constructor of it."""
    names, node = [], call.func
    while isinstance(node, ast.Attribute):
        names, node = [node.attr, *names], node.value
    value = vars(module).get(node.id) if isinstance(node, ast.Name) else None
    return is_error(vars(value).get(names[0]) if inspect.ismodule(value) and names else value)


def is_sentence(node):
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    text = "".join(
        part.value if isinstance(part.value, str) else "…"
        for part in parts
        if isinstance(part, ast.Constant | ast.FormattedValue)
    )
    return text.count(" ") >= 2


def sentences_for_errors(module):
    """The lines where a module makes errors with words of its own."""
    names = "|".join([name for name, value in vars(module).items() if is_error(value)] + ["errors"])
    source = MODULES[module.__name__].read_text()
    if not re.search(rf"\b({names})(\.\w+)*\(", source):
        return []  # to parse all of them takes a second
    return [
        call.lineno
        for call in ast.walk(ast.parse(source))
        if isinstance(call, ast.Call) and makes_error(call, module)
        if any(map(is_sentence, ast.walk(call)))
    ]


def test_what_an_error_tells_stands_with_the_error():
    """None is made with a sentence where it is raised: it has a class, which has the words."""
    rooms = [one for one in ALL_MODULES if one.__name__.rpartition(".")[2] != "errors"]
    found = {room.__name__: lines for room in rooms if (lines := sentences_for_errors(room))}
    assert found.keys() <= SENTENCES_TO_MOVE | PHRASES_AT_A_PLACE, found
