"""Attacks a portal of its own behind TLS with the scanner Wapiti: ``make scan``.

Once as a stranger, and once as a member with a browser's cookie and a program's token, who owns one
organization and may rename another, but not delete it. Wapiti types "default" where it knows no
better, so that is the other's name. Of the API it attacks queries and the bodies of POST, no paths
and no bodies of PUT and DELETE. Nothing leaves the machine.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path

import requests

from portal.documents.accounts import Account
from portal.documents.memberships import Role
from portal.documents.organizations import Organization
from portal.errors import PortalError
from portal.organizations.lifecycle.renaming import rename_organization
from portal.organizations.lifecycle.trashing import trash_organization
from portal.web.static_files import TOP
from tests.factories import a_context, a_member, an_organization
from tests.processes import wait_until
from tests.standalone import standalone_portal
from tests.visitor import PASSWORD

FOLDER = TOP / "build" / "scan"
# Not those that ask the world outside (cms, htp, log4shell, network_device, nikto, ssl, takeover,
# wapp, wp_enum); nor buster, which guesses 31,000 names in each folder; nor https_redirect, which
# speaks HTTP to our one port, that of HTTPS; nor shellshock, which is about CGI, and loses the cookie
# that all modules after it need. Nor two whose hits mean nothing here: spring4shell takes any refused
# query parameter for one, and the API answers 422 to all that it doesn't know; ldap compares whole
# pages, and ours differ each second by their CSRF token.
MODULES = (
    "backup", "brute_login_form", "cookieflags", "crlf", "csp", "csrf", "exec", "file", "htaccess", "http_headers",
    "methods", "permanentxss", "redirect", "sql", "ssrf", "timesql", "upload", "xss", "xxe",
)  # fmt: skip
OF_STRANGERS = ("/", "/login", "/login/passkey", "/forgot", "/signup", "/docs")
OF_MEMBERS = (
    "/organizations", "/organizations/new", "/organizations/default", "/organizations/acme-corp",
    "/organizations/default/members", "/organizations/default/keys", "/organizations/default/keys/new",
    "/organizations/default/activity?who=x&action=organization.created&from=2026-01-01&to=2030-01-01",
    "/organizations/acme-corp/members", "/organizations/acme-corp/second-factor",
    "/organizations/preview?organization_name=x", "/trash",
    "/account", "/account/security", "/account/address", "/account/password", "/account/invitations",
    "/org/default", "/org/default/members", "/org/default/invitations", "/org/default/keys",
    "/org/default/audit?after=0&limit=1", "/org/trash", "/auth/check",
)  # fmt: skip
# What would end the member's own sessions or memberships; and more of the same, since filters make
# very many addresses: of "default" the page with them is attacked.
EXCLUDED = (
    "/logout", "/account/sessions*", "/account/close", "/organizations/*/leave",
    "/organizations/*/activity.*?*", "/organizations/acme-corp/activity?*",
    "/organizations/old-corp/activity?*",
)  # fmt: skip
NOWHERE = "http://127.0.0.1:9/"  # the discard port; what lures a server out leads here
SECONDS_PER_MODULE = 120
SCAN_SECONDS = len(MODULES) * SECONDS_PER_MODULE
NAMES = {}  # of the organizations that are attacked, by id


def main(wapiti):
    FOLDER.mkdir(parents=True, exist_ok=True)
    make_certificate()
    log = FOLDER / "portal.log"
    with log.open("w") as stderr, standalone_portal(stderr=stderr, tls=FOLDER) as running:
        mara = a_member(default := an_organization("default"), Role.ADMIN, "mara@acme.example")
        for organization in (default, an_organization("Acme Corp", mara)):
            NAMES[organization.id] = organization.name
        trash_organization(an_organization("Old Corp", mara), "Old Corp", a_context(mara))
        url = running.url
        known = {"email": mara.email, "password": PASSWORD}
        token = requests.post(f"{url}/admin/login", json=known, timeout=30).json()["token"]
        found = scan(wapiti, "stranger", url, OF_STRANGERS)
        found += scan(
            wapiti, "member", url, OF_MEMBERS,
            "--form-user", mara.email, "--form-password", PASSWORD, "--form-url", f"{url}/login",
            "-H", f"Authorization: Bearer {token}",
        )  # fmt: skip
        left = Counter(organization.state for organization in Organization.objects)
    statuses = count_statuses(log)
    print("answers by status:", dict(sorted(statuses.items())))
    print("organizations then:", dict(left))
    failed = sum(number for status, number in statuses.items() if status >= 500)
    print(f"{len(found)} findings, {failed} answers of 5xx")
    sys.exit(bool(found or failed))


def make_certificate():
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names]
    files = ["-keyout", FOLDER / "key.pem", "-out", FOLDER / "cert.pem"]
    subprocess.run([*command, *files], check=True, capture_output=True)
    os.environ["REQUESTS_CA_BUNDLE"] = str(FOLDER / "cert.pem")


def scan(wapiti, who, url, paths, *arguments):
    """Attack as ``who``; what Wapiti found."""
    report = FOLDER / f"{who}.json"
    report.unlink(missing_ok=True)
    command = [
        wapiti / "bin" / "wapiti", "--url", f"{url}/", "--scope", "domain", "--flush-session",
        "--swagger", f"{url}/docs/openapi.json",
        *(word for path in EXCLUDED for word in ("--exclude", url + path)),
        *(word for path in paths for word in ("--start", url + path)),
        "--module", ",".join(MODULES), "--level", "2", "--tasks", "1",
        "--max-attack-time", str(SECONDS_PER_MODULE),
        "--endpoint", NOWHERE, "--dns-endpoint", "localhost", "--no-bugreport",
        "--store-session", FOLDER / who, "--store-config", FOLDER / "config",
        "--format", "json", "--output", report, "--verbose", "1", *arguments,
    ]  # fmt: skip
    with (FOLDER / f"{who}.log").open("w") as log:
        scanner = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            wait_until(lambda: put_names_back() or scanner.poll() is not None, SCAN_SECONDS)
        finally:
            scanner.kill()
            scanner.wait()
    assert scanner.returncode == 0, f"Wapiti failed, see {log.name}"
    told = json.loads(report.read_text())
    found = [
        (kind, finding)
        for group in ("vulnerabilities", "anomalies")
        for kind, findings in told[group].items()
        for finding in findings
    ]
    print(f"{who}: {len(found)} findings, {told['infos']['crawled_pages_nbr']} pages")
    for kind, finding in found:
        print(f"    {kind}: {finding['method']} {finding['path']} {finding['info']}")
    return found


def put_names_back():
    """What was renamed would answer 409 to all that comes after."""
    for organization in Organization.objects(id__in=list(NAMES)):
        if organization.name != NAMES[organization.id]:
            with suppress(PortalError):  # still being renamed: the next time
                owner = Account.objects.get(id=organization.created_by)
                rename_organization(organization, NAMES[organization.id], a_context(owner))


def count_statuses(log):
    events = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return Counter(event["status"] for event in events if event["event"] == "request.answered")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
