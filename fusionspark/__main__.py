"""``python -m fusionspark`` is the command ``fusionspark``, where the console script is not on the path."""

from fusionspark.cli import entry

if __name__ == "__main__":
    entry()
