"""Values that must never be printed or stored."""

from __future__ import annotations

import re
from typing import Any

#: Source options whose value must never be printed or stored.
_CREDENTIAL = re.compile(
    r"password|passwd|secret|token|credential|account.?key|access.?key|sas", re.IGNORECASE
)


_USER_INFO = re.compile(r"(?<=://)[^/@\s]+:[^/@\s]+(?=@)")
REDACTED = "***"


REDACTED = "***"


def is_credential(option: str) -> bool:
    """Whether the value of a source or Spark option with this name must not be seen."""
    return _CREDENTIAL.search(option) is not None


def without_user_info(value: Any) -> Any:
    """Blank ``user:password`` in URLs inside a string or a list of strings.

    >>> without_user_info("jdbc:x://me:pw@host/db")
    'jdbc:x://***@host/db'
    """
    if isinstance(value, list):
        return [without_user_info(item) for item in value]
    return _USER_INFO.sub(REDACTED, value) if isinstance(value, str) else value
