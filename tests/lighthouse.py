"""Lighthouse on a phone, as it sees the main pages: ``make lighthouse``. Medians of three."""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from portal.web.static_files import TOP
from tests.browser.chromium import ARGUMENTS, HELP, find_chromium
from tests.factories import an_account, an_organization
from tests.processes import Person
from tests.standalone import standalone_portal
from tests.visitor import PASSWORD

CATEGORIES = ("performance", "accessibility", "best-practices")
OF_STRANGERS = ("/", "/login", "/signup", "/forgot")
OF_MEMBERS = (
    "/organizations", "/organizations/org-07", "/organizations/org-07/delete",
    "/organizations/org-07/members", "/organizations/org-07/activity", "/organizations/org-07/keys",
    "/account/security", "/account/sessions",
)  # fmt: skip
RUNS = 3
TRIES = 3  # with a recent Chromium it now and then misses the beginning of a page: NO_NAVSTART
LOG = TOP / "build" / "lighthouse.log"  # the portal's
MOST_BYTES = 60_000
RUN_SECONDS = 180


def main(lighthouse):
    chromium = find_chromium()
    if chromium is None:
        sys.exit(HELP)
    with LOG.open("w") as log, standalone_portal(stderr=log) as running:
        mara = an_account("mara@acme.example")
        for n in range(25):
            an_organization(f"Org {n:02}", mara)
        person = Person(running.url.replace("127.0.0.1", "localhost"))
        person.post("/login", email=mara.email, password=PASSWORD)
        cookie = "; ".join(f"{name}={value}" for name, value in person.session.cookies.items())
        print(f"{'page':<32} {'perf.':>6} {'acc.':>6} {'best':>6} {'bytes':>8}")
        pages = [(path, {}) for path in OF_STRANGERS]
        pages += [(path, {"Cookie": cookie}) for path in OF_MEMBERS]
        goals_met = [
            show(path, [look(lighthouse, chromium, person.url + path, sent) for _ in range(RUNS)])
            for path, sent in pages
        ]
    sys.exit(not all(goals_met))


def look(lighthouse, chromium, url, headers):
    """Lighthouse's report on one page, seen for the first time."""
    command = [
        "node", lighthouse / "node_modules/lighthouse/cli/index.js", url,
        "--quiet", "--output=json", "--no-enable-error-reporting",
        f"--only-categories={','.join(CATEGORIES)}", f"--extra-headers={json.dumps(headers)}",
        f"--chrome-flags={' '.join(['--headless=new', *ARGUMENTS])}",
    ]  # fmt: skip
    environment = {**os.environ, "CHROME_PATH": chromium}
    for _ in range(TRIES):
        answered = subprocess.run(
            command, check=False, env=environment, timeout=RUN_SECONDS, stdout=subprocess.PIPE
        )
        if answered.returncode == 0:
            break
        print(f"    {url} again: Lighthouse could not look at it", flush=True)
    answered.check_returncode()
    report = json.loads(answered.stdout)
    assert report["finalDisplayedUrl"] == url, f"{url} led to {report['finalDisplayedUrl']}"
    return report


def show(path, reports):
    """Print a page's medians and what costs it points; whether it meets the goals."""
    scores = [
        round(100 * statistics.median(report["categories"][name]["score"] for report in reports))
        for name in CATEGORIES
    ]
    weight = statistics.median(
        report["audits"]["total-byte-weight"]["numericValue"] for report in reports
    )
    print(f"{path:<32} {scores[0]:>6} {scores[1]:>6} {scores[2]:>6} {weight:>8,.0f}", flush=True)
    for line in sorted({line for report in reports for line in costs(report)}):
        print(f"    {line}")
    return scores == [100, 100, 100] and weight < MOST_BYTES


def costs(report):
    """The audits that cost points."""
    for category in report["categories"].values():
        for reference in category["auditRefs"]:
            audit = report["audits"][reference["id"]]
            if reference["weight"] and audit["score"] is not None and audit["score"] < 1:
                shown = audit.get("displayValue", "")
                yield f"{category['id']}: {audit['title']} {audit['score']} {shown}".rstrip()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
