"""``flask data shape``, ``indexes`` and ``rules``: how an organization's documents are."""

import sys
from typing import Any

import click
from flask.cli import with_appcontext

from portal.cli.running import CommandFailed, on_database, plain, refusals
from portal.cli.tables import print_table
from portal.data.access import operator_access
from portal.data.errors import WouldExpire
from portal.data.indexes import builds as index_builds
from portal.data.indexes import conflicts as index_conflicts
from portal.data.indexes import listing as indexes
from portal.data.indexes.conflicts import Conflicts
from portal.data.indexes.listing import FAILED, READY, IndexSpec, ListedIndex
from portal.data.queries import parse_query
from portal.data.rules import rules as services
from portal.data.rules.former import FormerRules, find_former, former_rules
from portal.data.rules.proposing import propose_rules
from portal.data.rules.schemas import lines_of, parse_schema
from portal.data.shape.sampling import shape_of
from portal.organizations import planning
from portal.organizations.access.lookup import Access
from portal.permissions import ALL
from portal.web.context import OPERATOR, RequestContext


@click.command("shape")
@click.argument("slug")
@with_appcontext
@on_database
def show_shape(slug: str) -> None:
    """Tell the fields of the documents of the organization with this SLUG, from a random sample."""
    with refusals():
        shape = shape_of(operator_access(access_to(slug).organization))
    click.echo(f"{shape.read:,} of {shape.total:,} documents")
    rows = [
        (
            field.name,
            field.types,
            field.in_words,
            "sensitive" if field.sensitive else field.values or None,
            ", ".join(found.words for found in field.outliers) or None,
        )
        for field in shape.fields
    ]
    print_table(("field", "types", "in", "values", "look at"), rows)


@click.command("indexes")
@click.argument("slug")
@with_appcontext
@on_database
def list_indexes(slug: str) -> None:
    """List the indexes of the organization with this SLUG, and builds that run or failed."""
    with refusals():
        organization = access_to(slug).organization
        found = indexes.with_figures(organization, index_builds.list_indexes(organization))
    rows = [
        (
            index.name,
            ", ".join(index.keys),
            "hidden" if index.hidden else index.state,
            index.size_bytes,
            index.use and index.use.operations,
            index.use and f"{index.use.since:%Y-%m-%d}",
        )
        for index in found
    ]
    print_table(("index", "fields", "state", "bytes", "uses", "since"), rows)
    for index in found:
        if index.state == FAILED:
            click.echo(plain(f"{index.name} was not built: {index.cause}"))
        elif index.step:
            click.echo(plain(f"{index.name}, {index.percent or 0} %: {index.step}"))


@click.command("create-index")
@click.argument("slug")
@click.argument("fields", nargs=-1, required=True)
@click.option("--unique", is_flag=True, help="No two documents may be alike.")
@click.option("--sparse", is_flag=True, help="Only documents that have a field of it.")
@click.option("--partial", help="Only documents that match this filter, as Extended JSON.")
@click.option("--expire-after", type=int, help="Delete documents so many seconds after a date.")
@click.option("--check", is_flag=True, help="Only tell what stands in its way.")
@click.option("--yes", is_flag=True, help="Build it whatever it deletes, or stands in its way.")
@with_appcontext
@on_database
def create_index(
    slug: str,
    fields: tuple[str, ...],
    unique: bool,
    sparse: bool,
    partial: str | None,
    expire_after: int | None,
    check: bool,
    yes: bool,
) -> None:
    """Build an index for the organization with this SLUG, on FIELDS such as status due:-1 _id.

    It asks before one that would delete documents at once, and builds none that documents stand in
    the way of.

    Exit status: 0 it is ready or is being built, 1 documents stand in its way.
    """
    with refusals():
        access = access_to(slug)
        spec = IndexSpec(
            dict(map(_key, fields)),
            unique=unique,
            sparse=sparse,
            partial_filter=parse_query(partial) if partial else None,
            expire_after_seconds=expire_after,
        )
        if check:
            _tell_check(access, spec)
            return
        if not (yes or index_builds.is_built(access.organization, spec)):
            _ask(access, spec)
        made = index_builds.create_index(access, spec, RequestContext(OPERATOR))
    _tell_made(made)


@click.command("hide-index")
@click.argument("slug")
@click.argument("name")
@click.option("--unhide", is_flag=True, help="Have queries use it again.")
@with_appcontext
@on_database
def hide_index(slug: str, name: str, unhide: bool) -> None:
    """Have no query use the index of this NAME, which stays current."""
    with refusals():
        context = RequestContext(OPERATOR)
        indexes.hide_index(access_to(slug), name, context, hidden=not unhide)
    click.echo(plain(f"{name} is {'used again' if unhide else 'hidden'}."))


@click.command("drop-index")
@click.argument("slug")
@click.argument("name")
@with_appcontext
@on_database
def drop_index(slug: str, name: str) -> None:
    """Drop the index of this NAME, stop its build, or forget that it failed."""
    with refusals():
        index_builds.drop_index(access_to(slug), name, RequestContext(OPERATOR))
    click.echo(plain(f"{name} is gone."))


@click.command("rules")
@click.argument("slug")
@click.option("--propose", is_flag=True, help="Propose rules from a random sample instead.")
@click.option("--try", "tried", type=click.File(), help="Try the JSON Schema in this file.")
@click.option("--set", "given", type=click.File(), help="Put it into force, unless some break it.")
@click.option(
    "--although",
    type=int,
    default=0,
    help="With --set, --put-back: as many may break it; "
    f"above {services.MOST_BREAKING}, any number.",
)
@click.option(
    "--of",
    type=click.IntRange(1),
    help="With --although: of a sample of so many, as --try told it.",
)
@click.option("--strict", is_flag=True, help="With --set: refuse later writes to those, too.")
@click.option("--end", is_flag=True, help="End the rules in force.")
@click.option("--former", is_flag=True, help="Show what was in force before.")
@click.option("--put-back", metavar="ID", help="Put former rules back, unless some break them.")
@with_appcontext
@on_database
def rules(
    slug: str,
    propose: bool,
    tried: Any,
    given: Any,
    although: int,
    of: int | None,
    strict: bool,
    end: bool,
    former: bool,
    put_back: str | None,
) -> None:
    """Show the rules in force for the documents of the organization with this SLUG.

    Exit status: 0, or 1 where documents break the rules that are tried.
    """
    if sum(map(bool, (propose, tried, given, end, former, put_back))) > 1:
        raise click.UsageError(
            "Give one of --propose, --try, --set, --end, --former and --put-back."
        )
    with refusals():
        access, context = access_to(slug), RequestContext(OPERATOR)
        seen = operator_access(access.organization)
        known = services.Known(although, of)
        if propose:
            _print_schema(propose_rules(seen).schema)
        elif tried:
            _tell_trial(services.try_rules(seen, parse_schema(tried.read())))
        elif given:
            level = services.STRICT if strict else services.MODERATE
            schema = parse_schema(given.read())
            services.set_rules(access, schema, context, level=level, known=known)
            click.echo("The rules are in force.")
        elif end:
            services.set_rules(access, None, context)
            click.echo("No rules are in force any more.")
        elif former:
            for each in former_rules(seen, services.rules_of(access.organization)):
                _tell_former(each)
        elif put_back:
            found = find_former(seen, services.rules_of(access.organization), put_back).rules
            services.set_rules(
                access, found.schema, context,
                level=found.level, action=found.action, known=known,
            )  # fmt: skip
            click.echo("The rules are in force.")
        else:
            _tell_rules(services.rules_of(access.organization))


def _key(text: str) -> tuple[str, Any]:
    name, colon, kind = text.rpartition(":")
    if not colon:
        return text, 1
    return name, int(kind) if kind in ("1", "-1") else kind


def _tell_check(access: Access, spec: IndexSpec) -> None:
    seen = operator_access(access.organization)
    indexes.check_spec(seen, spec)
    conflicts = index_conflicts.conflicts_of(seen, spec)
    expiring = index_conflicts.expiring_by(seen, spec)
    if expiring:
        click.echo(f"{expiring.at_once.count:,} documents would be deleted at once.")
    if conflicts is None:
        raise CommandFailed("It can’t be told in time what stands in the way.")
    _tell_conflicts(conflicts)


def _ask(access: Access, spec: IndexSpec) -> None:
    """Ask before an index that would delete documents at once; exit where some stand in its way."""
    seen = operator_access(access.organization)
    indexes.check_spec(seen, spec)
    conflicts = index_conflicts.conflicts_of(seen, spec)
    if conflicts and conflicts.documents:
        _tell_conflicts(conflicts)
    try:
        index_conflicts.check_expiring(spec, index_conflicts.expiring_by(seen, spec))
    except WouldExpire as error:
        click.confirm(f"{error.documents} would be deleted within a minute. Build it?", abort=True)


def _tell_conflicts(conflicts: Conflicts) -> None:
    click.echo(f"{conflicts.documents:,} documents stand in the way.")
    for conflict in conflicts.largest:
        words = "none of the fields" if conflict.missing else conflict.values
        click.echo(plain(f"  {conflict.documents:,} with {words}: {' '.join(conflict.addresses)}"))
    if conflicts.documents:
        sys.exit(1)


def _tell_made(made: ListedIndex) -> None:
    if made.state == FAILED:
        raise CommandFailed(plain(f"{made.name} was not built: {made.cause}"))
    words = "is ready" if made.state == READY else "is being built: flask data indexes shows it"
    click.echo(plain(f"{made.name} {words}."))


def _tell_trial(trial: services.Trial) -> None:
    of = "all" if trial.complete else "a random sample of"
    click.echo(f"{trial.number} of {of} {trial.tried:,} documents break them.")
    for broken in trial.examples:
        name = broken.clause.name or "the document"
        words = f"{name} {broken.words}, such as {broken.address}"
        click.echo(plain(f"  {broken.documents:,}: line {broken.line}: {words}"))
    if trial.breaking:
        sys.exit(1)


def _tell_rules(found: services.Rules) -> None:
    if found.schema is None:
        click.echo("No JSON Schema is in force.")
    else:
        click.echo(f"level {found.level}, action {found.action}")
        _print_schema(found.schema)
    if found.others is not None:
        click.echo("Conditions beside it that are no JSON Schema are in force.")


def _tell_former(former: FormerRules) -> None:
    begun = "set by a program"
    if former.rules.at is not None:
        begun = f"put into force {former.rules.at:%Y-%m-%d %H:%M} UTC by {former.rules.by}"
    ended = "replaced by a program"
    if former.until is not None:
        ended = f"until {former.until:%Y-%m-%d %H:%M} UTC by {former.until_by}"
    click.echo(plain(f"{former.id}: {begun}, {ended}"))
    _print_schema(former.rules.schema or {})


def _print_schema(schema: dict[str, Any]) -> None:
    for line in lines_of(schema):
        click.echo(plain(line.text))


def access_to(slug: str) -> Access:
    """Access to the organization with all permissions. Raises CommandFailed."""
    organization = planning.find_organization(slug)
    return Access(organization, None, organization.slug, ALL)


COMMANDS = (show_shape, list_indexes, create_index, hide_index, drop_index, rules)
