"""What can be configured: sections with types, bounds and defaults, one file a room.

``conf/base.yaml`` lists every key with its default and a comment; a test keeps it equal to this package.
"""

from fusionspark.config.columns import Columns
from fusionspark.config.contract import ColumnContract, Contract
from fusionspark.config.credentials import REDACTED, without_user_info
from fusionspark.config.log import Log
from fusionspark.config.mine import Every, Rules
from fusionspark.config.plan import Plan
from fusionspark.config.prepare import Prepare, Split
from fusionspark.config.represent import SPEED_ONLY, Represent
from fusionspark.config.source import RUN_DATE, Drift, Source
from fusionspark.config.whole import Config

__all__ = [
    "REDACTED",
    "RUN_DATE",
    "SPEED_ONLY",
    "ColumnContract",
    "Columns",
    "Config",
    "Contract",
    "Drift",
    "Every",
    "Log",
    "Plan",
    "Prepare",
    "Represent",
    "Rules",
    "Source",
    "Split",
    "without_user_info",
]
