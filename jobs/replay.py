"""Replay the quarantined rows of a run under spark-submit: ``spark-submit jobs/replay.py conf/demo.yaml``."""

import sys

from fusionspark.cli import main

if __name__ == "__main__":
    sys.exit(main(["replay", *sys.argv[1:]]))
