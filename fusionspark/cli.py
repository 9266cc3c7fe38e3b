"""The command line: ``fusionspark run | replay | score | stream | rules | check | plan | explain | ...``."""

from __future__ import annotations

import json
import logging
import sys
import webbrowser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fusionspark.columns import STAGES
from fusionspark.config import Config
from fusionspark.config_file import load
from fusionspark.errors import FusionSparkError
from fusionspark.explain_lines import explain_lines
from fusionspark.plan_lines import plan_lines
from fusionspark.run_dates import check_run_date, today
from fusionspark.run_lines import chosen_line, cluster_lines, count_lines, figure_rows, stage_lines
from fusionspark.run_log import opened
from fusionspark.session import open_session
from fusionspark.store_command import store_app
from fusionspark.stream.command import stream_command

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Fuse language-model features of text with structured columns on Spark, and mine the result.",
)
app.add_typer(store_app, name="store")
app.command("stream")(stream_command)
#: Figures and paths go to standard output; progress and errors to standard error.
out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

Conf = Annotated[str, typer.Argument(metavar="CONF", help="YAML file; conf/base.yaml explains its keys.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override one key; may be repeated.")
]
RunDate = Annotated[str | None, typer.Option("--run-date", help="YYYY-MM-DD; default: today (UTC).")]


def _say(line: str) -> None:
    err.print(line, markup=False)


@app.command()
def run(
    conf: Conf,
    *,
    overrides: Overrides = None,
    run_date: RunDate = None,
    first: Annotated[str, typer.Option("--from", metavar="STAGE", help=", ".join(STAGES))] = STAGES[0],
    last: Annotated[str, typer.Option("--to", metavar="STAGE", help="Last stage to run.")] = STAGES[-1],
    full: Annotated[bool, typer.Option("--full", help="Take nothing over from earlier runs.")] = False,
) -> None:
    """Run the pipeline; prints the figures that matter and the paths of report.html and run.json."""
    config = load(conf, overrides or [])
    date = check_run_date(run_date or today())
    with opened(config.log, "run", config.title, date) as log:
        spark = open_session(config.title, config.spark)
        from fusionspark import pipeline

        manifest = log.manifest = pipeline.run(
            spark, config, date, first=first, last=last, full=full, say=_say, note=log.note
        )
    folder = f"{config.output}/runs/{date}"
    if manifest is None:
        out.print(f"stages {first} to {last} are whole in {folder}; not published yet", markup=False)
        return
    _figures(manifest)
    _paths(spark, folder)


@app.command()
def score(conf: Conf, overrides: Overrides = None, run_date: RunDate = None) -> None:
    """Apply the models of the newest published run to new rows."""
    config = load(conf, overrides or [])
    date = check_run_date(run_date or today())
    with opened(config.log, "score", config.title, date) as log:
        spark = open_session(config.title, config.spark)
        from fusionspark import pipeline

        manifest = log.manifest = pipeline.score(spark, config, date, say=_say, note=log.note)
    _figures(manifest)
    _paths(spark, f"{config.output}/scores/{date}")


@app.command()
def replay(conf: Conf, overrides: Overrides = None, run_date: RunDate = None) -> None:
    """Send the quarantined rows of a run through the stages again after a fix, and merge those that pass."""
    config = load(conf, overrides or [])
    date = check_run_date(run_date or today())
    with opened(config.log, "replay", config.title, date) as log:
        spark = open_session(config.title, config.spark)
        from fusionspark import pipeline

        manifest = log.manifest = pipeline.replay(spark, config, date, say=_say, note=log.note)
    _figures(manifest)
    _paths(spark, f"{config.output}/runs/{date}")


@app.command()
def rules(
    conf: Conf,
    overrides: Overrides = None,
    run_date: RunDate = None,
    top: Annotated[int, typer.Option("--top", min=0, max=50, help="Rules to print.")] = 10,
) -> None:
    """Find association rules in baskets (columns.basket, columns.item); prints the surest ones."""
    config = load(conf, overrides or [])
    date = check_run_date(run_date or today())
    with opened(config.log, "rules", config.title, date) as log:
        spark = open_session(config.title, config.spark)
        from fusionspark import pipeline

        manifest = log.manifest = pipeline.baskets(spark, config, date, say=_say)
    rows, found = manifest["rows"], manifest["rules"]
    out.print(
        f"lines: {rows['in']} in = {rows['out']} out + {rows['quarantined']} quarantined; "
        f"{found['rows']} baskets"
    )
    raised = f" (raised from {found['asked_rows']})" if found["min_rows"] > found["asked_rows"] else ""
    out.print(
        f"rules: {found['found']} of {found['tested']} tested; {found['itemsets']} itemsets in at least "
        f"{found['min_rows']} baskets{raised}"
    )
    table = Table("if", "then", "baskets", "confidence", "lift", title="Surest rules")
    for rule in found["top"][:top]:
        sides = [Text(", ".join(rule[side])) for side in ("antecedent", "consequent")]
        table.add_row(*sides, str(rule["rows"]), f"{rule['confidence']:.3f}", f"{rule['lift']:.2f}")
    if found["top"] and top:
        out.print(table)
    _paths(spark, f"{config.output}/rules/{date}")


@app.command()
def tune(conf: Conf, overrides: Overrides = None, run_date: RunDate = None) -> None:
    """Adapt the language model to the label of the training rows; prints the model's folder."""
    config = load(conf, overrides or [])
    date = check_run_date(run_date or today())
    with opened(config.log, "tune", config.title, date):
        spark = open_session(config.title, config.spark)
        from fusionspark import pipeline

        tuned = pipeline.tune(spark, config, date, say=_say)
    before, after = (tuned["scores"][name] for name in ("validation_loss_untuned", "validation_loss"))
    shown = "no validation rows" if after is None else f"validation loss {before:.4f} -> {after:.4f}"
    out.print(
        f"tuned on {tuned['rows']} rows in {tuned['steps']} steps, {tuned['seconds']:.0f} s; {shown}",
        markup=False,
    )
    out.print(f"--set represent.model={tuned['folder']}", markup=False)


@app.command()
def check(conf: Conf, overrides: Overrides = None, run_date: RunDate = None) -> None:
    """Resolve the configuration, open the source, print the plan and stop."""
    config = load(conf, overrides or [])
    spark = open_session(config.title, config.spark)
    from fusionspark import pipeline

    source = pipeline.open_source(spark, config, check_run_date(run_date or today()))
    out.print(yaml.safe_dump(config.redacted(), sort_keys=False, allow_unicode=True), markup=False)
    table = Table("column", "type", "part", title="Source")
    parts = _parts(config)
    for name, kind in source.dtypes:
        table.add_row(name, kind, parts.get(name, ""))
    out.print(table)
    for line in stage_lines(config):
        out.print(line, markup=False)


@app.command()
def explain(
    conf: Conf,
    row: Annotated[str, typer.Option("--row", metavar="ID", help="row_id, as the table predictions has it.")],
    *,
    overrides: Overrides = None,
    run_date: Annotated[
        str | None, typer.Option("--run-date", help="YYYY-MM-DD; default: the newest.")
    ] = None,
    samples: Annotated[
        int, typer.Option("--samples", min=16, help="Changed texts and columns asked about.")
    ] = 200,
    as_json: Annotated[bool, typer.Option("--json", help="Print the explanation as JSON.")] = False,
) -> None:
    """Explain why the best classifier of a run answers as it does for one row."""
    config = load(conf, overrides or [])
    spark = open_session(config.title, config.spark)
    from fusionspark import pipeline

    date = run_date and check_run_date(run_date)
    found = pipeline.explain_row(spark, config, row, date, samples)
    if as_json:
        out.print_json(data=found)
        return
    for line in explain_lines(found):
        out.print(line, markup=False)


@app.command()
def plan(
    conf: Conf,
    overrides: Overrides = None,
    run_date: RunDate = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the estimate as JSON.")] = False,
) -> None:
    """Estimate rows, tokens, time, memory and cost from a sample; refuses above a budget."""
    config = load(conf, overrides or [])
    spark = open_session(config.title, config.spark)
    from fusionspark import pipeline

    estimate = pipeline.plan(spark, config, check_run_date(run_date or today()))
    if as_json:
        out.print_json(data=estimate)
        return
    table = Table("estimate", "value", "from", title=f"Plan for {estimate['run_date']}")
    for line in plan_lines(estimate):
        table.add_row(*line)
    out.print(table)


@app.command()
def report(
    run_path: Annotated[str, typer.Argument(metavar="RUN", help="Run folder or its run.json.")],
    show: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """Make report.html of a run again, without Spark."""
    from fusionspark.report.page import write

    folder = Path(run_path)
    manifest = folder if folder.suffix == ".json" else folder / "run.json"
    language = "en"
    if manifest.is_file():
        language = (
            json.loads(manifest.read_text(encoding="utf-8"))
            .get("config", {})
            .get("report", {})
            .get("language")
        )
    _page(write(manifest, language=language or "en"), show)


@app.command()
def compare(
    first: Annotated[str, typer.Argument(metavar="RUN_A", help="Run folder or its run.json.")],
    second: Annotated[str, typer.Argument(metavar="RUN_B", help="Run folder or its run.json.")],
    *,
    to: Annotated[str | None, typer.Option(metavar="FILE", help="The page; default: beside RUN_B.")] = None,
    show: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """Put two runs side by side on one page, with the rows whose answer changed; without Spark."""
    from fusionspark.report.comparison_page import write_comparison

    _page(write_comparison(first, second, to), show)


def _page(page: Path, show: bool) -> None:
    out.print(str(page), markup=False)
    if show and not webbrowser.open(page.resolve().as_uri()):
        err.print("no browser was found; open the file yourself", markup=False)


def _parts(config: Config) -> dict[str, str]:
    columns = config.columns
    parts = {
        name: part for part in ("key", "text", "numeric", "categorical") for name in getattr(columns, part)
    }
    parts |= dict.fromkeys(columns.dates, "dates")
    single = {columns.image: "image", columns.date: "date", columns.label: "label"}
    return parts | {name: part for name, part in single.items() if name}


def _figures(manifest: dict[str, Any]) -> None:
    for line in count_lines(manifest):
        out.print(line)
    found = figure_rows(manifest)
    if found:
        names, rows = found
        table = Table(*names, title="Held-out test rows")
        for row in rows:
            table.add_row(*row)
        out.print(table)
        out.print(chosen_line(manifest))
    for line in cluster_lines(manifest):
        out.print(line)


def _paths(spark: Any, folder: str) -> None:
    from fusionspark.files import Files

    files = Files(spark)
    for name in ("report.html", "run.json"):
        if files.exists(f"{folder}/{name}"):
            out.print(files.absolute(f"{folder}/{name}"), markup=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    0 done, 1 failed, 2 bad usage or configuration, 3 data contract broken, 4 too many rows in quarantine.
    """
    # Spark's warnings about connections it closes itself would bury our own lines.
    logging.getLogger("py4j").setLevel(logging.ERROR)
    # It would print every error a second time, as JSON.
    logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL)
    try:
        app(args=list(arguments) if arguments is not None else None, standalone_mode=False)
    except FusionSparkError as error:
        err.print(f"error: {error}", markup=False, style="red")
        if findings := getattr(error, "findings", ()):
            err.print(_broken(findings))
        return error.exit_code
    except typer.Exit as done:
        return done.exit_code
    except typer.Abort:
        return 1
    except Exception as error:  # noqa: BLE001 - the last line of defence prints one sentence, then the trace
        return _unexpected(error)
    return 0


def _broken(findings: Sequence[Mapping[str, Any]]) -> Table:
    """What of a contract was broken: what, where, how many rows, and which."""
    table = Table("rule", "column", "rows", "found", "allowed", "examples", title="Broken contract")
    for one in findings:
        shown = (one["rule"], one["column"], str(one["rows"]), one["found"], one["allowed"])
        table.add_row(*[Text(str(part)) for part in (*shown, "; ".join(one["examples"]))])
    return table


def _unexpected(error: Exception) -> int:
    show = getattr(error, "show", None)
    if show is not None and hasattr(error, "exit_code"):
        show()
        return int(error.exit_code)
    first = str(error).strip().splitlines()
    said = f"{type(error).__name__}: {first[0] if first else ''}"
    err.print(f"error: {said} (unexpected; the trace below helps to report it)", markup=False, style="red")
    err.print_exception(max_frames=8)
    return 1


def entry() -> None:
    """Console script."""
    sys.exit(main())
