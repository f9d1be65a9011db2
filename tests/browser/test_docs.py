"""The documentation of the API, where it can be tried."""

import json
import re

from playwright.sync_api import expect

from tests.factories import an_account
from tests.visitor import PASSWORD

TRIED = ("/admin/login", "/auth/check")
SCHEMA = re.compile('"#/components/schemas/([^"]+)"')


def with_those_alone(route):
    """The document without what isn't tried: all of it takes seconds to draw, which ``make faults``
    has done."""
    document = route.fetch().json()
    document["paths"] = {path: document["paths"][path] for path in TRIED}
    schemas, used = document["components"].pop("schemas"), {}
    while named := set(SCHEMA.findall(json.dumps([document, used]))) - used.keys():
        used |= {name: schemas[name] for name in named}
    document["components"]["schemas"] = used
    route.fulfill(json=document)


def send(page, path, body=None):
    """Try an operation out; what the portal answered."""
    operation = page.locator(".opblock", has=page.locator(f'[data-path="{path}"]'))
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Try it out").click()
    if body:
        operation.locator("textarea").fill(json.dumps(body))
    operation.get_by_role("button", name="Execute").click()
    answered = operation.locator(".live-responses-table")
    expect(answered.locator(".response-col_status").last).to_contain_text("2")
    return answered


def test_the_api_can_be_tried_against_the_portal_itself(page, base_url):
    """By whichever name it was reached: requests to another would be another site's."""
    an_account("mara@acme.example")
    page.route("**/openapi.json", with_those_alone)
    page.goto(f"{base_url.replace('localhost', '127.0.0.1')}/docs")
    expect(page.get_by_role("heading", level=1)).to_have_text("API")
    credentials = {"email": "mara@acme.example", "password": PASSWORD}
    with page.expect_response("**/admin/login") as answered:
        send(page, "/admin/login", credentials)
    token = answered.value.json()["token"]

    page.get_by_role("button", name="Authorize").click()
    page.get_by_label("auth-bearer-value").fill(token)
    page.get_by_role("button", name="Apply credentials").click()
    page.get_by_role("button", name="Close", exact=True).click()
    with page.expect_response("**/auth/check") as answered:
        send(page, "/auth/check")
    assert answered.value.json()["account"]["email"] == "mara@acme.example"


def test_without_javascript_the_document_is_still_there(new_context):
    page = new_context(java_script_enabled=False).new_page()
    page.goto("/docs")
    page.get_by_role("link", name="OpenAPI document").click()
    expect(page.locator("body")).to_contain_text('"openapi"')
