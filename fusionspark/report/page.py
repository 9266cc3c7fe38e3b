"""The page: one HTML file that opens offline, made from run.json alone."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from markupsafe import Markup

from fusionspark.errors import ConfigError, DataContractError
from fusionspark.report.blocks import Figures, Section
from fusionspark.report.display import visible
from fusionspark.report.phrases import Words
from fusionspark.report.sections import BUILDERS

#: The name of the page beside its run.json.
REPORT = "report.html"
_TEMPLATES = Path(__file__).parent / "templates"


def render(run: Mapping[str, Any], *, language: str = "en") -> str:
    """Return the page of a run.

    The page loads nothing from the network and its Content-Security-Policy forbids it to: only the two
    scripts written here may run, named by their digests, so that text of a hostile row stays text even if
    an escape were missed.

    Parameters
    ----------
    run : dict
        The content of run.json. Every key may be missing; the page says what is absent.
    language : str
        Language of labels and sentences: ``en`` or ``zh``.

    Returns
    -------
    str
        HTML, about 5 MB of it plotly's script; samples keep it below 8 MB whatever the table's size.

    Raises
    ------
    ConfigError
        For a language without phrases.
    """
    words = Words(language)
    sections = [section for build in BUILDERS if (section := build(run, words)) is not None]
    title = run.get("title") or words.plain("default_title")
    date = run.get("run_date")
    return render_sections(title, "" if date is None else date, sections, words)


def render_sections(title: Any, run_date: Any, sections: Sequence[Section], words: Words) -> str:
    """Return a page of these sections; `render` says what holds for it."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    drawn = {
        figure.name: {"data": figure.spec["data"], "layout": figure.spec["layout"]}
        for section in sections
        for block in section.blocks
        if isinstance(block, Figures)
        for figure in block.figures
    }
    plotly, script = _plotly(), _asset("page.js")
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(
        words=words,
        policy=_policy(plotly, script),
        title=visible(title, 120),
        run_date=visible(run_date, 80),
        sections=sections,
        style=Markup(_asset("page.css")),
        plotly=Markup(plotly),
        script=Markup(script),
        figures_json=script_json(drawn),
        texts=script_json({"shown": words.plain("shown", shown="{shown}", all="{all}")}),
    )


def write(run_json: str | Path, html: str | Path | None = None, *, language: str = "en") -> Path:
    """Write the page of a run.json, by default as ``report.html`` beside it, and return its path.

    Raises
    ------
    ConfigError
        When there is no such run.json, or no phrases in this language.
    DataContractError
        When the file is not the JSON object that a run writes.
    """
    source, run = read_run(run_json)
    target = source.with_name(REPORT) if html is None else Path(html)
    return write_whole(target, render(run, language=language))


def write_whole(target: Path, page: str) -> Path:
    """Write a page so that a reader who has it open never loads half of a new one."""
    part = target.with_name(target.name + ".part")
    part.write_text(page, encoding="utf-8", newline="\n")
    part.replace(target)
    return target


def read_run(run_json: str | Path) -> tuple[Path, dict[str, Any]]:
    """Return the path of a run.json, which may be named by its folder, and its content.

    Raises
    ------
    ConfigError
        When there is no such run.json.
    DataContractError
        When the file is not the JSON object that a run writes.
    """
    source = Path(run_json)
    if source.is_dir():
        source = source / "run.json"
    try:
        run = json.loads(source.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"run {str(source)!r}", "there is no such file", remedy="name the run.json of a finished run"
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataContractError(
            f"run {str(source)!r}", f"not JSON ({error})", remedy="run the pipeline again for this date"
        ) from error
    if not isinstance(run, dict):
        raise DataContractError(
            f"run {str(source)!r}", f"holds a {type(run).__name__}", allowed="a JSON object"
        )
    return source, run


def script_json(value: Any) -> Markup:
    """Return JSON that is safe inside ``<script>``: no character that could end it or start markup.

    >>> script_json({"a": "</script>"})
    Markup('{"a":"\\\\u003c/script\\\\u003e"}')
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _policy(*scripts: str) -> str:
    """Return a Content-Security-Policy that allows these scripts and no others, and no network."""
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    # Inline style is plotly's way of placing things; images as data are its button "download".
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _asset(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())
