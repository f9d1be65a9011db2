"""The shape of an organization's documents, and their rules, for programs."""

import json
from dataclasses import asdict
from typing import Any

from portal.api import replay, structure_schemas
from portal.api.document_requests import (
    OF_READING,
    access_to_documents,
    body_query,
    document_access_to,
    takes_json,
    with_link,
)
from portal.api.guard import ApiBlueprint, logged_in
from portal.api.replay import PARAMETER
from portal.data.errors import (
    InvalidRules,
    RulesBroken,
)
from portal.data.masks.errors import FieldMasked, WholeDocumentMasked
from portal.data.rules import rules as services
from portal.data.rules.former import former_rules, refusals_of
from portal.data.rules.proposing import propose_rules
from portal.data.rules.rules import Trial
from portal.data.rules.schemas import text_of
from portal.data.shape.sampling import Found, shape_of
from portal.web.errors import Overloaded
from portal.web.requests import request_context

org_structure = ApiBlueprint("org_structure", __name__, url_prefix="/org", description="Structure")
org_structure.after_request(with_link)

_OF_RULES = (*OF_READING, InvalidRules, FieldMasked, WholeDocumentMasked)
_OF_CHANGES = (*_OF_RULES, *replay.REFUSALS, RulesBroken, Overloaded)


@org_structure.get("/<name:name>/shape", refusals=OF_READING)
@logged_in
@org_structure.response(200, structure_schemas.ShapeAnswer)
def read_shape(name: str) -> dict[str, Any]:
    """Read the shape of documents

    Fields with types, shares, values and what stands out, of a random sample of up to 1,000. Each
    outlier has a filter that matches exactly these documents; its number is null where they were
    not counted.
    """
    shape = shape_of(document_access_to(name, "documents.read"))
    fields = [
        {
            **asdict(field),
            "outliers": [
                {
                    "words": found.words,
                    "documents": found.documents,
                    "filter": json.loads(found.text),
                }
                for found in field.outliers
            ],
        }
        for field in shape.fields
    ]
    return {**asdict(shape), "field_shapes": fields}


@org_structure.get("/<name:name>/rules", refusals=_OF_RULES)
@logged_in
@org_structure.response(200, structure_schemas.RulesAnswer)
def read_rules(name: str) -> dict[str, Any]:
    """Read the rules in force

    The JSON Schema by which MongoDB checks what is written; null without one.
    """
    access = document_access_to(name, "indexes.manage")
    rules = services.visible_rules(access)
    schema = None if rules.schema is None else json.loads(text_of(rules.schema))
    others = None if rules.others is None else json.loads(text_of(rules.others))
    refusals = refusals_of(access.organization, rules)
    return {
        "schema": schema,
        "others": others,
        "level": rules.level,
        "action": rules.action,
        "refused": refusals and refusals.writes,
    }


@org_structure.get("/<name:name>/rules/former", refusals=_OF_RULES)
@logged_in
@org_structure.response(200, structure_schemas.FormerRulesAnswer)
def read_former_rules(name: str) -> dict[str, Any]:
    """Read the rules that were in force before

    Newest first, by whom and until when; of a schema that a program had set it isn't known since
    when. Put one back like any other rules.
    """
    access = document_access_to(name, "indexes.manage")
    found = former_rules(access, services.visible_rules(access))
    former = [
        {
            "schema": json.loads(text_of(each.rules.schema)),
            "level": each.rules.level,
            "action": each.rules.action,
            "at": each.rules.at,
            "by": each.rules.by,
            "until": each.until,
            "until_by": each.until_by,
        }
        for each in found
    ]
    return {"former": former}


@org_structure.get("/<name:name>/rules/proposal", refusals=_OF_RULES)
@logged_in
@org_structure.response(200, structure_schemas.ProposalAnswer)
def read_proposal(name: str) -> dict[str, Any]:
    """Propose rules

    That a random sample of the documents keeps, but for strays. Nothing is put into force. Whoever
    asks may read documents, too.
    """
    proposal = propose_rules(document_access_to(name, "indexes.manage", tells_values=True))
    schema = json.loads(text_of(proposal.schema))
    return {"schema": schema, "named": proposal.named, "of": proposal.fields}


@org_structure.post("/<name:name>/rules/try", refusals=_OF_RULES)
@takes_json(structure_schemas.TriedRulesBody)
@logged_in
@org_structure.response(200, structure_schemas.TrialAnswer)
def try_rules(name: str) -> dict[str, Any]:
    """Try rules on the documents there are

    How many break them, with an example of each of the commonest faults. It changes nothing.
    Whoever asks may read documents, too.
    """
    schema = body_query(structure_schemas.TriedRulesBody)["schema"]
    access = document_access_to(name, "indexes.manage", tells_values=True)
    return _trial(services.try_rules(access, schema))


@org_structure.put("/<name:name>/rules", refusals=_OF_CHANGES)
@takes_json(structure_schemas.RulesBody, PARAMETER)
@logged_in
@org_structure.response(200, structure_schemas.RulesSetAnswer)
def set_rules(name: str) -> dict[str, Any]:
    """Put rules into force

    In place of those that are; a null schema ends them. With `breaking`, they are tried first, and
    refused if more documents break them, or more of a random sample where all would take too long
    (`tried` is what a trial said of a sample before): whoever sends it may read documents, too.
    `moderate` leaves documents that break them already be until they fit once; `warn` lets writes
    through that break them.
    """
    access = access_to_documents(name, "indexes.manage")
    body, known = body_query(structure_schemas.RulesBody), None
    if "breaking" in body:
        access.require("documents.read")  # it tells how many there are
        known = services.Known(body["breaking"], body.get("tried"))
    services.set_rules(
        access,
        body["schema"],
        request_context(),
        level=body.get("level", services.MODERATE),
        action=body.get("action", services.REFUSE),
        known=known,
    )
    return {}


def _outlier(found: Found) -> dict[str, Any]:
    return {
        "words": found.words,
        "documents": found.documents,
        "filter": json.loads(found.text),
    }


def _trial(trial: Trial) -> dict[str, Any]:
    examples = [
        {
            "name": broken.clause.name,
            "reason": broken.words,
            "documents": broken.documents,
            "address": broken.address,
            "filter": json.loads(broken.filter),
        }
        for broken in trial.examples
    ]
    return {
        "breaking": trial.breaking,
        "more": trial.more,
        "tried": trial.tried,
        "complete": trial.complete,
        "examples": examples,
    }


replay.install(
    org_structure, {services.CHANGED: (structure_schemas.RulesSetAnswer, replay.success)}
)
