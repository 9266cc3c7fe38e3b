"""Association rules of baskets under spark-submit: ``spark-submit jobs/rules.py conf/groceries.yaml``."""

import sys

from fusionspark.cli import main

if __name__ == "__main__":
    sys.exit(main(["rules", *sys.argv[1:]]))
