"""Adapt the language model under spark-submit: ``spark-submit jobs/tune.py CONF --set key=value``."""

import sys

from fusionspark.cli import main

if __name__ == "__main__":
    sys.exit(main(["tune", *sys.argv[1:]]))
