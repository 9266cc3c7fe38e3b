"""Errors of fusionspark.

Every message names the subject, the value that was found, what is allowed and the remedy. Every class
also subclasses a built-in, so that callers may catch ``ValueError`` without knowing this module, and
carries the exit code that the command line ends with.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


class FusionSparkError(Exception):
    """Base of all errors raised on purpose.

    Parameters
    ----------
    subject : str
        What the error is about: a key, a column, a file, a row.
    problem : str
        What was found there, with the value.
    allowed : str, optional
        What would have been accepted.
    remedy : str, optional
        What the reader can do now.
    """

    exit_code = 1

    def __init__(self, subject: str, problem: str, *, allowed: str = "", remedy: str = "") -> None:
        self.subject = subject
        self.problem = problem
        self.allowed = allowed
        self.remedy = remedy
        parts = [f"{subject}: {problem}."]
        if allowed:
            parts.append(f"Allowed: {allowed}.")
        if remedy:
            parts.append(f"Remedy: {remedy}.")
        super().__init__(" ".join(parts))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by field, as a task sends it to the driver: the message alone would not rebuild it."""
        return _rebuild, (type(self), self.subject, self.problem, self.allowed, self.remedy)


def _rebuild(kind: type[FusionSparkError], *fields: str) -> FusionSparkError:
    subject, problem, allowed, remedy = fields
    error = kind.__new__(kind)
    # A subclass may be made from other arguments; what it says is in these.
    FusionSparkError.__init__(error, subject, problem, allowed=allowed, remedy=remedy)
    return error


class ConfigError(FusionSparkError, ValueError):
    """The configuration or the command line cannot be used as it is."""

    exit_code = 2


class EnvironmentMismatchError(FusionSparkError, RuntimeError):
    """The machine lacks something the run needs (Java, for example)."""

    exit_code = 2


class MissingExtraError(FusionSparkError, ImportError):
    """An optional library is not installed."""

    exit_code = 2

    def __init__(self, library: str, extra: str, needed_for: str) -> None:
        super().__init__(
            f"library {library!r}",
            f"not installed, and {needed_for} needs it",
            remedy=f"pip install 'fusionspark[{extra}]'",
        )


class DataContractError(FusionSparkError, ValueError):
    """The data breaks what the configuration promises about it.

    Parameters
    ----------
    findings : sequence of mapping, optional
        What was broken, where, by how many rows and by which, for a table: see `fusionspark.contract.check`.
    """

    exit_code = 3
    findings: Sequence[Mapping[str, Any]] = ()

    def __init__(
        self,
        subject: str,
        problem: str,
        *,
        allowed: str = "",
        remedy: str = "",
        findings: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        super().__init__(subject, problem, allowed=allowed, remedy=remedy)
        # They are for the driver's own table; an error on its way from a task has none.
        if findings:
            self.findings = findings


class QuarantineLimitError(FusionSparkError, RuntimeError):
    """More rows were quarantined than the configured limit; nothing was published."""

    exit_code = 4


class OutOfSpaceError(FusionSparkError, RuntimeError):
    """A disk is full; what is published stays readable."""


class LostExecutorsError(FusionSparkError, RuntimeError):
    """Tasks that must run at once cannot, since executors are gone; the same command goes on later."""


class RunLockedError(FusionSparkError, RuntimeError):
    """Another process works at the same run date."""


class ModelMismatchError(FusionSparkError, ValueError):
    """Vectors or models that do not belong together were about to be mixed."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``", did you mean 'x'?"`` for the known name closest to ``name``, or an empty string.

    >>> nearest("colums", ["columns", "source"])
    ", did you mean 'columns'?"
    >>> nearest("zzz", ["columns", "source"])
    ''
    """
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f", did you mean {found[0]!r}?" if found else ""
