"""Apply a saved model to new rows under spark-submit: ``spark-submit jobs/score.py conf/demo.yaml``."""

import sys

from fusionspark.cli import main

if __name__ == "__main__":
    sys.exit(main(["score", *sys.argv[1:]]))
