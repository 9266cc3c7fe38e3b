"""Score rows as they arrive, under spark-submit: ``spark-submit jobs/stream.py conf/demo.yaml``."""

import sys

from fusionspark.cli import main

if __name__ == "__main__":
    sys.exit(main(["stream", *sys.argv[1:]]))
