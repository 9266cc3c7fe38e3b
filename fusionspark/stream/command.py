"""The command ``fusionspark stream``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from fusionspark.config_file import load
from fusionspark.run_dates import today
from fusionspark.run_log import opened
from fusionspark.session import open_session

Conf = Annotated[str, typer.Argument(metavar="CONF", help="YAML file; conf/base.yaml explains its keys.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override one key; may be repeated.")
]


def stream_command(
    conf: Conf,
    *,
    overrides: Overrides = None,
    once: Annotated[bool, typer.Option("--once", help="End when what has arrived is scored.")] = False,
) -> None:
    """Score rows as they arrive, with the models of the newest published run; ends on SIGTERM."""
    config = load(conf, overrides or [])
    with opened(config.log, "stream", config.title, today()) as log:
        spark = open_session(config.title, config.spark)
        from fusionspark.stream.streaming import stream

        done = log.manifest = stream(
            spark, config, once=once, say=lambda line: print(line, file=sys.stderr, flush=True), note=log.note
        )
    rows, latency = done["rows"], done["latency"]
    print(
        f"rows: {rows['in']} in = {rows['out']} out + {rows['quarantined']} quarantined; "
        f"{done['batches']} batches"
    )
    if latency["p50"] is not None:
        print(f"landing to output: p50 {latency['p50']:.1f} s, p99 {latency['p99']:.1f} s")
