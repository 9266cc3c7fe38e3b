"""Every night: the same command as by hand, for the date that Airflow schedules.

A late or repeated night is safe: a date that is run again ends with the same result. Codes 2, 3 and 4
(configuration, data contract, quarantine) will not get better by trying again, so they fail at once.
"""

from __future__ import annotations

import datetime as dt
import subprocess

from airflow.decorators import dag, task
from airflow.exceptions import AirflowFailException

HOME = "/srv/fusionspark"
CONF = "conf/tickets.yaml"
FINAL = {2: "bad usage or configuration", 3: "data contract broken", 4: "too many rows in quarantine"}


@dag(
    schedule="30 2 * * *",
    start_date=dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc),
    catchup=True,
    max_active_runs=1,
    tags=["fusionspark"],
)
def fusionspark_nightly() -> None:
    @task(retries=2, retry_delay=dt.timedelta(minutes=5), execution_timeout=dt.timedelta(hours=8))
    def run(run_date: str) -> None:
        log = f"log.file=/var/log/fusionspark/{run_date}.jsonl"
        command = [f"{HOME}/.venv/bin/fusionspark", "run", CONF, "--run-date", run_date, "--set", log]
        code = subprocess.run(command, cwd=HOME, check=False).returncode
        if code in FINAL:
            raise AirflowFailException(f"exit code {code}: {FINAL[code]}")
        if code:
            raise RuntimeError(f"exit code {code}: trying again goes on after the last whole stage")

    run("{{ ds }}")


fusionspark_nightly()
