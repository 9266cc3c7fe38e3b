"""What a scheduler and a monitor are told."""

from __future__ import annotations

from fusionspark.config.section import Section


class Log(Section):
    """Files for machines; people read standard error."""

    file: str = ""
    metrics: str = ""
