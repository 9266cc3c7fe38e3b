"""The stage ``represent`` alone under spark-submit, on the tables that the stages before it left."""

import sys

from fusionspark.cli import main

if __name__ == "__main__":
    sys.exit(main(["run", *sys.argv[1:], "--from", "represent", "--to", "represent"]))
