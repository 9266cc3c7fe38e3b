"""What a scheduler and a monitor are told of a command: JSON lines while it works, metrics at its end."""

from __future__ import annotations

import datetime as dt
import json
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fusionspark.config import Log
from fusionspark.errors import ConfigError, FusionSparkError

#: Metric -> (type, help), in the exposition format of Prometheus
#: (https://prometheus.io/docs/instrumenting/exposition_formats/).
_METRICS = {
    "success": ("gauge", "1 where the last command ended with exit code 0."),
    "exit_code": ("gauge", "Exit code of the last command."),
    "end_timestamp_seconds": ("gauge", "When the last command ended, in seconds since 1970."),
    "seconds": ("gauge", "How long the last command took."),
    "stage_seconds": ("gauge", "How long each stage took."),
    "stage_rows": ("gauge", "Rows that came through each stage."),
    "rows": ("gauge", "Rows in, out and in quarantine."),
    "texts": ("gauge", "Texts that were encoded, and texts whose vectors were stored."),
    "stream_batches": ("counter", "Batches that this process has published."),
    "stream_rows": ("counter", "Rows in, out and in quarantine, of those batches."),
    "stream_batch_timestamp_seconds": ("gauge", "When the last batch was published, in seconds since 1970."),
    "stream_latency_seconds": ("gauge", "From landing to output, of the rows that came last."),
    "stream_lag_seconds": ("gauge", "How long the oldest rows of the last batch had waited when it began."),
    "stream_models": ("gauge", "1, with the run date of the models in use."),
}


#: Metric -> (labels, value) of its samples.
_Values = dict[str, list[tuple[dict[str, str], float]]]


class RunLog:
    """One command: its events as they come, and its metrics when it ends.

    Parameters
    ----------
    settings : Log
        Where to; empty paths are not written to.
    command, title, run_date : str
        What runs; on every line, beside ``run_id``, which is new for each start.
    """

    def __init__(self, settings: Log, command: str, title: str, run_date: str) -> None:
        self.run_id = uuid.uuid4().hex[:12]
        self._settings = settings
        self._who = {"run_id": self.run_id, "command": command, "title": title, "run_date": run_date}
        self._stages: dict[str, Mapping[str, Any]] = {}
        self._batch: Mapping[str, Any] | None = None
        self._started = time.monotonic()
        self.manifest: Mapping[str, Any] | None = None

    def note(self, event: Mapping[str, Any]) -> None:
        """Append one line; an event of a stage also becomes metrics, one of a batch at once."""
        if event.get("event") == "stage":
            self._stages[event["stage"]] = event
        if event.get("event") == "batch":
            self._batch = event
            self._write_metrics(_of_batch(event))
        if not self._settings.file:
            return
        now = dt.datetime.now(dt.timezone.utc).isoformat(timespec="milliseconds")
        line = json.dumps({"time": now, **self._who, **event}, ensure_ascii=False, allow_nan=False)
        with Path(self._settings.file).open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def end(self, exit_code: int, error: str | None) -> None:
        """Say how the command ended, and write the metrics."""
        seconds = round(time.monotonic() - self._started, 3)
        said: dict[str, Any] = {"event": "end", "exit_code": exit_code, "seconds": seconds}
        if error is not None:
            said["error"] = error
        if self.manifest is not None:
            said |= {"rows": self.manifest["rows"], "best": self.manifest.get("best")}
        self.note(said)
        self._write_metrics(self._of_command(exit_code, seconds))

    def _of_command(self, exit_code: int, seconds: float) -> _Values:
        values: _Values = {
            "success": [({}, float(exit_code == 0))],
            "exit_code": [({}, exit_code)],
            "end_timestamp_seconds": [({}, round(time.time(), 3))],
            "seconds": [({}, seconds)],
            "stage_seconds": [
                ({"stage": name}, stage["seconds"])
                for name, stage in self._stages.items()
                if "seconds" in stage
            ],
            "stage_rows": [({"stage": name}, stage["rows"]) for name, stage in self._stages.items()],
        }
        if self.manifest is not None:
            values["rows"] = [({"kind": kind}, rows) for kind, rows in self.manifest["rows"].items()]
            done = self.manifest.get("represent") or {}
            values["texts"] = [({"kind": kind}, done[kind]) for kind in ("encoded", "reused") if kind in done]
        return values | (_of_batch(self._batch) if self._batch else {})

    def _write_metrics(self, values: _Values) -> None:
        if self._settings.metrics:
            _replace(Path(self._settings.metrics), self._exposition(values))

    def _exposition(self, values: _Values) -> str:
        common = {"title": self._who["title"], "command": self._who["command"]}
        lines = []
        for name, samples in values.items():
            if samples:
                kind, meaning = _METRICS[name]
                lines += [f"# HELP fusionspark_{name} {meaning}", f"# TYPE fusionspark_{name} {kind}"]
            for labels, value in samples:
                inside = ",".join(f'{k}="{_escaped(v)}"' for k, v in {**common, **labels}.items())
                lines.append(f"fusionspark_{name}{{{inside}}} {value}")
        return "\n".join(lines) + "\n"


def _of_batch(event: Mapping[str, Any]) -> _Values:
    total, latency = event["total"], event["latency"]
    quantiles = (("0.5", latency["p50"]), ("0.99", latency["p99"]))
    return {
        "stream_batches": [({}, total["batches"])],
        "stream_rows": [({"kind": kind}, total[kind]) for kind in ("in", "out", "quarantined")],
        "stream_batch_timestamp_seconds": [({}, round(time.time(), 3))],
        "stream_latency_seconds": [({"quantile": q}, value) for q, value in quantiles if value is not None],
        "stream_lag_seconds": [({}, event["lag"])],
        "stream_models": [({"run_date": event["models_of"]}, 1)],
    }


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _replace(path: Path, text: str) -> None:
    """Put the whole file in place at once: a collector may read it at any moment."""
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


@contextmanager
def opened(settings: Log, command: str, title: str, run_date: str) -> Iterator[RunLog]:
    """A `RunLog` around one command; however the block ends, the log and the metrics say so.

    Raises
    ------
    ConfigError
        A file of ``log`` cannot be written; raised before anything else is done.
    """
    for key, place in (("file", settings.file), ("metrics", settings.metrics)):
        if place and not Path(place).parent.is_dir():
            raise ConfigError(
                f"key 'log.{key}'", f"{place!r} lies in a folder that is not there",
                allowed="a file in a folder of this machine", remedy="make the folder, or set the key to ''",
            )  # fmt: skip
    log = RunLog(settings, command, title, run_date)
    log.note({"event": "start"})
    try:
        yield log
    except FusionSparkError as error:
        log.end(error.exit_code, str(error))
        raise
    except BaseException as error:
        log.end(1, f"{type(error).__name__}: {error}".splitlines()[0])
        raise
    log.end(0, None)
