"""The command ``fusionspark store stats | verify | compact | drop``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from fusionspark.config_file import load
from fusionspark.errors import DataContractError
from fusionspark.session import open_session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

store_app = typer.Typer(no_args_is_help=True, help="Look after the store of vectors.")
out = Console(highlight=False, soft_wrap=True)

Conf = Annotated[str, typer.Argument(metavar="CONF", help="YAML file whose store is meant.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override one key; may be repeated.")
]


@store_app.command()
def stats(conf: Conf, overrides: Overrides = None) -> None:
    """Say a line for each space: model, type, segments, files, rows, bytes."""
    from fusionspark.represent.store.upkeep import spaces

    spark, path = _store(conf, overrides)
    found = list(spaces(spark, path))
    for store in found:
        space, sums = store.space, store.figures()
        out.print(
            f"{space.folder}: {store.model} ({space.model_digest[:12]}), {space.precision} stored as "
            f"{space.dtype}; {len(store.segments)} segments, {sums.files} files, {sums.rows} rows, "
            f"{sums.bytes} bytes",
            markup=False,
        )
    out.print(f"{len(found)} spaces in {path}", markup=False)


@store_app.command()
def verify(conf: Conf, overrides: Overrides = None) -> None:
    """Read every row of every space; ends with exit code 3 where something is broken."""
    from fusionspark.represent.store import upkeep

    broken = 0
    spark, path = _store(conf, overrides)
    for store in upkeep.spaces(spark, path):
        found = upkeep.verify(store)
        out.print(f"{store.folder.path}: {found.rows} rows, {found.keys} keys", markup=False)
        for line in found.broken:
            out.print(f"  {line}", markup=False)
        broken += len(found.broken)
    if broken:
        raise DataContractError(
            f"store {path}",
            f"{broken} findings, listed above",
            remedy="torn files cost nothing but encoding again; for the rest, drop the space",
        )


@store_app.command()
def compact(conf: Conf, overrides: Overrides = None) -> None:
    """Rewrite the segments of each space into one; safe while runs read and append."""
    from fusionspark.represent.store import upkeep

    spark, path = _store(conf, overrides)
    for store in upkeep.spaces(spark, path):
        replaced, rows = upkeep.compact(store)
        said = f"{replaced} segments became one of {rows} rows" if replaced else "nothing to compact"
        out.print(f"{store.folder.path}: {said}", markup=False)


@store_app.command()
def drop(
    conf: Conf,
    model: Annotated[str, typer.Option("--model", metavar="D", help="First digits of a model's digest.")],
    overrides: Overrides = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be deleted, and stop.")] = False,
) -> None:
    """Say what there is of one model, then delete it: its vectors and the verdicts on its precision."""
    from fusionspark.represent.store import upkeep

    spark, path = _store(conf, overrides)
    what = upkeep.doomed(spark, path, model)
    for store in what.spaces:
        sums = store.figures()
        out.print(
            f"deletes {store.folder.path}: {store.model}, {sums.rows} rows, {sums.bytes} bytes", markup=False
        )
    for verdict in what.verdicts:
        out.print(f"deletes {verdict}: what its precision was found fit for", markup=False)
    if not dry_run:
        upkeep.drop(spark, what)
        out.print(f"deleted {len(what.spaces)} spaces and {len(what.verdicts)} verdicts", markup=False)


def _store(conf: str, overrides: list[str] | None) -> tuple[SparkSession, str]:
    from fusionspark.pipeline.vector_space import store_path

    config = load(conf, overrides or [])
    return open_session(config.title, config.spark), store_path(config)
