"""Forms of documents, sent as a browser does."""

import io
import re

import bson
from bson import ObjectId

from portal.data.document_ids import address_of
from portal.data.editing.entries import key_of

DATA = "/organizations/acme-corp/data"
ID = ObjectId("6742a0f31c8e4d00b7f59c01")


class Editor:
    """Somebody who opens documents and sends their forms, as a browser does."""

    def __init__(self, visitor, data=DATA):
        self.visitor, self.data = visitor, data

    def open(self, document_id, part="edit"):
        address = address_of(bson.encode({"": document_id}))
        return self.visitor.get(f"{self.data}/documents/{address}/{part}".rstrip("/"))

    def send(self, page, typed=(), *, do="save", files=()):
        """Send the form of a page with other values in some of its controls."""
        form = page.html.select_one("main form[method=post]")
        fields = fields_of(form)
        for name, value in dict(typed).items():
            fields[name] = value
        fields["do"] = do
        data = {
            **fields,
            **{name: (io.BytesIO(each), "file") for name, each in dict(files).items()},
        }
        return self.visitor.send(form["action"], data, content_type=form.get("enctype"))


def fields_of(form):
    fields = {}
    for control in form.select("input[name], textarea[name], select[name]"):
        name = control["name"]
        if control.name == "textarea":
            text = control.get_text().removeprefix("\n")
        elif control.name == "select":
            chosen = control.select_one("option[selected]") or control.select_one("option")
            text = chosen.get("value", chosen.get_text())
        elif control.get("type") in ("file", "radio", "checkbox") and not control.has_attr(
            "checked"
        ):
            continue
        else:
            text = control.get("value", "")
        fields[name] = re.sub("\r\n|\r|\n", "\r\n", text)
    return fields


def one(stored):
    return bytes(stored.find_one().raw)


def control(*path):
    return key_of(path)
