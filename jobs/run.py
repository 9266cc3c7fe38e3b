"""The whole pipeline under spark-submit: ``spark-submit jobs/run.py conf/demo.yaml --set key=value``."""

import sys

from fusionspark.cli import main

if __name__ == "__main__":
    sys.exit(main(["run", *sys.argv[1:]]))
