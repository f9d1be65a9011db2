"""The files in ``deploy/`` do what they say: nginx in front, reloads and upgrades without downtime."""

import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
from configparser import RawConfigParser
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
import urllib3
from bson import ObjectId

from tests.clones import TOP, a_clone, environment
from tests.data.editing.forms import fields_of
from tests.processes import Person, PortalProcess, portal, wait_until
from tests.rights import admit
from tests.visitor import PASSWORD

pytestmark = pytest.mark.processes

HTTP = """
daemon off;
{user}
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    {temporary}
    include {folder}/portal.conf;
}}
"""
LARGE_FILE = (b'{"text": "%s"}\n' % (b"x" * 1000)) * 5000
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def port_of(running):
    return running.url.rpartition(":")[2]


class Nginx:
    """A real nginx by ``deploy/nginx.conf``, on ports and with a certificate of the test."""

    def __init__(self, folder, upstream, **changed):
        self.folder, self.port = folder, free_port()
        self.url = f"https://localhost:{self.port}"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
             "-keyout", folder / "key.pem", "-out", folder / "cert.pem"], check=True, capture_output=True,
        )  # fmt: skip
        self.conf = (TOP / "deploy/nginx.conf").read_text()
        self.change("listen 443 ", f"listen 127.0.0.1:{self.port} ")
        self.change("listen 80;", f"listen 127.0.0.1:{free_port()};")
        self.change("portal.example", "localhost")
        self.change("/etc/ssl/portal", str(folder))
        self.change("proxy_read_timeout 60s", f"proxy_read_timeout {changed.get('timeout', '60s')}")
        self.serve("8001", upstream)
        user = "user root;" if os.geteuid() == 0 else ""
        temporary = "".join(f"{name}_temp_path {folder}/{name};" for name in TEMPORARY)
        (folder / "nginx.conf").write_text(
            HTTP.format(folder=folder, user=user, temporary=temporary)
        )

    def change(self, before, after):
        assert before in self.conf
        self.conf = self.conf.replace(before, after)

    def serve(self, before, port):
        """Pass requests on to the portal on another port, as an upgrade does."""
        self.change(f"server 127.0.0.1:{before};", f"server 127.0.0.1:{port};")
        (self.folder / "portal.conf").write_text(self.conf)

    @property
    def command(self):
        return ["nginx", "-e", self.folder / "error.log", "-c", self.folder / "nginx.conf"]

    def reload(self):
        """Have it serve by its files as they are now; until then those before it serve, too."""
        before = self.workers()
        subprocess.run([*self.command, "-s", "reload"], check=True)
        wait_until(lambda: not before & self.workers())

    def workers(self):
        master = (self.folder / "pid").read_text().strip()
        return set(Path(f"/proc/{master}/task/{master}/children").read_text().split())

    @contextmanager
    def running(self):
        process = subprocess.Popen(self.command)
        try:
            wait_until(lambda: (self.folder / "pid").exists() and self.answers())
            yield self
        finally:
            process.send_signal(signal.SIGQUIT)
            process.wait(20)

    def answers(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@contextmanager
def quiet_about_tls():
    with urllib3.warnings.catch_warnings():
        urllib3.warnings.simplefilter("ignore")
        yield


def ask(method, url, **options):
    with quiet_about_tls():
        return requests.request(
            method, url, verify=False, timeout=30, allow_redirects=False, **options
        )


@pytest.fixture
def databases(bare_client):
    name = f"deployed_{ObjectId()}"[:30]
    yield name
    for database in (f"master_{name}", f"tenant_{name}"):
        bare_client.drop_database(database)


def behind(nginx_port):
    return {"PUBLIC_URL": f"https://localhost:{nginx_port}", "TRUSTED_PROXIES": "127.0.0.1"}


@pytest.mark.slow
def test_what_nginx_refuses_is_json_for_programs_and_a_page_for_people(server, databases, tmp_path):
    nginx = Nginx(tmp_path, free_port(), timeout="1s")
    with portal(server, databases, workers=1, **behind(nginx.port)) as running:
        nginx.serve(re.search(r"server 127.0.0.1:(\d+)", nginx.conf)[1], port_of(running))
        with nginx.running():
            wait_until(lambda: ask("get", f"{nginx.url}/login").status_code == 200)
            assert ask("get", f"{nginx.url}/org/acme").json()["status"] == "error"
            check(nginx, 413, "too_large", data="x" * 1_200_000)
            large = ask("post", f"{nginx.url}/org/create", data="x" * 100_000)
            assert (large.status_code, large.json()["error"]["code"]) == (413, "too_large")
            assert large.headers["X-Request-ID"]  # that is the portal's own
            with running.stopped():
                check(nginx, 504, "unavailable", data="{}")
            wait_until(lambda: ask("get", f"{nginx.url}/readyz").status_code == 200)
            nginx.serve(port_of(running), free_port())
            nginx.reload()
            wait_until(lambda: ask("get", f"{nginx.url}/login").status_code == 502)
            check(nginx, 502, "unavailable", data="{}")


@pytest.mark.slow
def test_nginx_passes_on_what_is_large(server, databases, tmp_path):
    nginx = Nginx(tmp_path, free_port())
    log_in = {"email": "mara@acme.example", "password": PASSWORD}
    with portal(server, databases, workers=1, **behind(nginx.port)) as running, quiet_about_tls():
        nginx.serve(re.search(r"server 127.0.0.1:(\d+)", nginx.conf)[1], port_of(running))
        with nginx.running():
            mara = Person(nginx.url)
            mara.session.verify = mara.session.trust_env = False
            assert mara.sign_up().status_code == 303
            token = ask("post", f"{nginx.url}/admin/login", json=log_in).json()["token"]
            check_streams(f"{nginx.url}/org/acme-corp/documents", f"Bearer {token}")
            check_import(f"{nginx.url}/org/acme-corp/imports", f"Bearer {token}")
            check_forms(mara)


def check_streams(documents, bearer):
    headers = {"Authorization": bearer, "Content-Type": "application/x-ndjson"}
    lines = ('{"text": "%s"}\n' % ("x" * 1000) * 100 for _ in range(20))
    sent = ask("post", documents, data=(line.encode() for line in lines), headers=headers)
    assert sent.json()["inserted"] == 2000
    headers = {"Authorization": bearer, "Accept": "application/x-ndjson"}
    assert ask("get", documents, headers=headers).text.count("\n") == 2001


def check_import(imports, bearer):
    headers = {"Authorization": bearer}
    told = {"file_name": "a.jsonl", "size": len(LARGE_FILE)}
    begun = ask("post", imports, json=told, headers=headers).json()
    headers["Content-Type"] = "application/octet-stream"
    sent = ask("put", f"{imports}/{begun['id']}/content", data=LARGE_FILE, headers=headers)
    assert sent.status_code == 200


def check_forms(mara):
    """Forms without JavaScript: a file to import, and a document of two megabytes."""
    data = "/organizations/acme-corp/data"
    sent = mara.session.post(
        f"{mara.url}{data}/imports",
        {"csrf_token": mara.token(f"{data}/imports")},
        files={"file": ("b.jsonl", LARGE_FILE)},
        allow_redirects=False,
    )
    assert sent.status_code == 303, sent.text[-3000:]
    form = mara.page(f"{data}/documents/new?as=json").select_one("main form[method=post]")
    text = '{"_id": "large", "text": "%s"}' % ("x" * 2_000_000)
    typed = {**fields_of(form), "text": text, "do": "save"}
    sent = mara.session.post(mara.url + form["action"], typed, allow_redirects=False)
    assert sent.status_code == 303


def test_nginx_refuses_no_body_that_the_portal_takes(app):
    conf = (TOP / "deploy/nginx.conf").read_text()
    [usual] = re.findall(r"^    client_max_body_size (\d+)m;", conf, re.M)
    places = re.findall(r"^    location ~ (\S+) {\n        client_max_body_size 0;", conf, re.M)
    for rule in app.url_map.iter_rules():
        body = getattr(app.view_functions[rule.endpoint], "accepted_body", None)
        if body and body.most_bytes > int(usual) * 1024**2:
            assert any(re.search(place, rule.rule) for place in places), rule.rule


def check(nginx, status, code, **sent):
    """nginx's own refusal, on a path of the API, and on a page."""
    for path in ("/org/create", "/auth/check", "/admin/login"):
        answer = ask(
            "post", f"{nginx.url}{path}", headers={"Content-Type": "application/json"}, **sent
        )
        assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/json")
        assert answer.json()["error"]["code"] == code
        assert answer.json()["status"] == "error"
        assert ("Retry-After" in answer.headers) == (status > 500)
    page = ask("post", f"{nginx.url}/signup", **sent)
    assert (page.status_code, page.headers["Content-Type"]) == (status, "text/html; charset=utf-8")
    assert "<h1>Portal</h1>" in page.text


class Load:
    """Visitors that read pages, and now and then log a program in, all the while: often enough to
    meet each moment of a reload, and not so often that it takes longer for want of a core."""

    def __init__(self, url):
        self.url, self.answers, self.stopped = url, [], threading.Event()
        self.threads = [threading.Thread(target=self._work, args=(n,)) for n in range(3)]

    def _work(self, number):
        log_in = {"email": "mara@acme.example", "password": PASSWORD}
        for n in itertools.count(number):
            if self.stopped.wait(0.02):
                return
            try:
                if n % 8:
                    answer = ask("get", f"{self.url}/login")
                else:
                    answer = ask("post", f"{self.url}/admin/login", json=log_in)
                self.answers.append(answer.status_code)
            except requests.RequestException as error:
                self.answers.append(repr(error))

    def goes_on(self, more=30):
        enough = len(self.answers) + more
        wait_until(lambda: len(self.answers) >= enough)

    def __enter__(self):
        made = {
            "organization_name": "Acme Corp",
            "email": "mara@acme.example",
            "password": PASSWORD,
        }
        assert ask("post", f"{self.url}/org/create", json=made).status_code == 201
        for thread in self.threads:
            thread.start()
        self.goes_on()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join()


@pytest.mark.slow
@pytest.mark.full
def test_an_upgrade_to_a_second_portal_loses_no_request(server, databases, tmp_path):
    nginx = Nginx(tmp_path, free_port())
    with portal(server, databases, workers=1, **behind(nginx.port)) as old:
        nginx.serve(re.search(r"server 127.0.0.1:(\d+)", nginx.conf)[1], port_of(old))
        with nginx.running(), Load(nginx.url) as load:
            with portal(server, databases, workers=1, **behind(nginx.port)) as new:
                nginx.serve(port_of(old), port_of(new))
                nginx.reload()
                load.goes_on()
                old.process.terminate()
                old.process.wait(20)
                load.goes_on()
                load.stop()
    assert set(load.answers) == {200}


def test_the_documented_switch_fits_the_file(tmp_path):
    [switch] = re.findall(
        r"^sed -i '(.+)' /etc/nginx", (TOP / "docs/operating.md").read_text(), re.M
    )
    conf = tmp_path / "portal.conf"
    shutil.copy(TOP / "deploy/nginx.conf", conf)
    subprocess.run(["sed", "-i", switch, conf], check=True)
    assert re.findall(r"server 127.0.0.1:\d+;", conf.read_text()) == ["server 127.0.0.1:8002;"]


@pytest.fixture
def unit():
    """The unit's commands, for a clone of the test and a port."""
    parser = RawConfigParser(strict=False, dict_type=Multiple)
    parser.optionxform = str
    parser.read(TOP / "deploy/portal@.service")
    return parser["Service"]


class Multiple(dict):
    """Keeps each value of a key that a unit gives several times."""

    def __setitem__(self, key, value):
        if isinstance(value, list) and key in self and isinstance(self[key], list):
            self[key].extend(value)
        else:
            super().__setitem__(key, value)


@pytest.mark.full
def test_a_reload_takes_the_settings_of_env_and_loses_no_request(server, databases, tmp_path, unit):
    folder, port = a_clone(tmp_path, "build"), free_port()
    admit(server.admin_uri, f"master_{databases}", f"tenant_{databases}")
    settings = {
        "MONGO_URI": server.uri,
        "MASTER_DB": f"master_{databases}",
        "TENANT_DB": f"tenant_{databases}",
        "JWT_SECRET": server.settings["jwt_secret"],
        "SECRET_KEY": server.settings["secret_key"],
        "PUBLIC_URL": f"http://localhost:{port}",
        "INSTALLATION_ID": "test",
        "WEB_CONCURRENCY": "1",
        "RATE_LIMITS": "off",
    }

    def write(**changes):
        lines = (f"{name}='{value}'\n" for name, value in {**settings, **changes}.items())
        (folder / ".env").write_text("".join(lines))

    def command(line, pid=None):
        return line.replace("/srv/portal/%i", str(folder)).replace("$MAINPID", str(pid)).split()

    write(PORTAL_NAME="Before")
    given = environment(BIND="127.0.0.1", PORT=str(port))
    process = subprocess.Popen(
        command(unit["ExecStart"]), cwd=folder, env=given, start_new_session=True
    )
    running = PortalProcess(process, f"http://localhost:{port}")
    try:
        wait_until(running.is_ready)
        with Load(running.url) as load:
            for name in ("After", "At last"):
                write(PORTAL_NAME=name)
                for line in unit["ExecReload"].splitlines():
                    subprocess.run(command(line, process.pid), cwd=folder, env=given, check=True)
                wait_until(
                    lambda name=name: name in requests.get(f"{running.url}/login", timeout=30).text
                )
                load.goes_on()
            write(TRASH_DAYS="many")
            check, _ = unit["ExecReload"].splitlines()
            told = subprocess.run(
                command(check), cwd=folder, env=given, capture_output=True, text=True, check=False
            )
            assert told.returncode != 0
            assert "TRASH_DAYS" in told.stderr
            load.goes_on()
        assert set(load.answers) == {200}
    finally:
        process.terminate()
        process.wait(20)


def test_systemd_finds_no_fault_in_the_unit(tmp_path):
    verify = shutil.which("systemd-analyze")
    assert verify, "systemd-analyze is missing. Install it: apt-get install systemd"
    text = (TOP / "deploy/portal@.service").read_text()
    text = text.replace("/srv/portal/%i/.venv/bin/gunicorn", shutil.which("true"))
    text = text.replace("/srv/portal/%i", str(tmp_path)).replace("User=portal", "User=root")
    unit = tmp_path / "portal@8001.service"
    unit.write_text(text)
    told = subprocess.run(
        [verify, "verify", "--man=no", unit], capture_output=True, text=True, check=False
    )
    assert "portal@" not in told.stderr
