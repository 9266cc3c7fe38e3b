"""The page in headless Chromium, where it is installed."""

import re
import shutil
import subprocess

import pytest
from runs import SCRIPT, hostile, realistic

from fusionspark.report.page import render

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")

    def dump(html):
        file = folder / "page.html"
        file.write_text(html, encoding="utf-8")
        done = subprocess.run(
            [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
             f"--user-data-dir={folder / 'profile'}", "--window-size=1280,1000",
             "--virtual-time-budget=15000", "--dump-dom", file.as_uri()],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]

    return dump


def with_script(html, script):
    """Return the page with one more script, which its own policy would forbid."""
    html = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", html)
    return html.replace("</body>", f"<script>{script}</script></body>")


def test_figures_are_drawn_and_nothing_complains(opened):
    dom, console = opened(render(realistic(points=200)))
    assert console == []
    assert 'data-ready="true"' in dom
    # stages, three metrics, confusion matrix, ROC, precision and recall, calibration, importance, sizes,
    # the number of clusters, map
    assert len(re.findall(r'class="plot js-plotly-plot"', dom)) == 12
    assert dom.count('class="trace scatter') >= 5


def test_hostile_text_shows_as_text(opened):
    dom, console = opened(render(hostile()))
    assert console == []
    assert 'data-ready="true"' in dom
    assert "<img" not in dom
    shown = SCRIPT.replace("<", "&lt;").replace(">", "&gt;")
    assert f"<bdi>{shown}</bdi>" in dom
    assert re.search(r"<text[^>]*>&lt;script&gt;window.bro", dom)  # a class on the axis of the matrix
    assert "@accent" in dom  # a class that is called like a colour


def test_a_smuggled_script_does_not_run(opened):
    html = render(realistic(points=20)).replace(
        "</body>", "<script>document.title = 'broken'</script></body>"
    )
    dom, console = opened(html)
    assert "<title>broken</title>" not in dom
    assert any("Content Security Policy" in line for line in console)


def test_sorting_filtering_theme_and_hover(opened):
    script = """
    const block = [...document.querySelectorAll(".table-block")].find((one) => one.querySelector(".filter"));
    const first = (i) => block.querySelector("tbody tr").cells[i].querySelector("bdi").textContent;
    const heads = block.querySelectorAll("th button");
    const out = {};
    heads[3].click(); out.highest = first(3); heads[3].click(); out.lowest = first(3);
    heads[7].click(); out.gap = first(7);
    heads[0].focus(); out.focused = document.activeElement === heads[0];
    out.announced = heads[7].closest("th").getAttribute("aria-sort");
    out.loaded = performance.getEntriesByType("resource").length;
    const input = block.querySelector("input");
    input.value = "SVM test"; input.dispatchEvent(new Event("input"));
    out.left = block.querySelectorAll("tbody tr:not([hidden])").length;
    out.count = block.querySelector("output").textContent;
    const map = document.querySelector('[data-figure="map"]');
    const before = map._fullLayout.font.color;
    document.getElementById("theme").click();
    out.themed = before !== map._fullLayout.font.color;
    Plotly.Fx.hover(map, [{curveNumber: 0, pointNumber: 0}]);
    setTimeout(() => {
      out.hover = map.querySelector(".hoverlayer").textContent;
      out.bold = map.querySelectorAll(".hoverlayer tspan[style*=bold]").length;
      document.body.dataset.out = JSON.stringify(out);
    }, 500);
    """
    run = realistic(points=50)
    for point in run["cluster"]["map"]:
        point["text"] = "<b>loud</b> & <script>quiet</script>"
    dom, console = opened(with_script(render(run), script))
    assert console == []
    found = re.search(r'data-out="([^"]*)"', dom).group(1)
    assert "&quot;highest&quot;:&quot;87.1%&quot;" in found
    assert "&quot;lowest&quot;:&quot;70.9%&quot;" in found
    assert "&quot;gap&quot;:&quot;+16.2&quot;" in found  # unknown values stay at the end
    assert "&quot;left&quot;:1" in found and "1 of 9 rows" in found
    assert "&quot;themed&quot;:true" in found
    assert "&quot;focused&quot;:true" in found and "&quot;announced&quot;:&quot;descending&quot;" in found
    assert "&quot;loaded&quot;:0" in found  # nothing beside the file itself
    assert "loud" in found and "quiet" in found and "&quot;bold&quot;:1" in found  # the row_id alone


def test_the_comparison_of_two_runs_opens_without_complaint(opened):
    from fusionspark.report.page import render_sections
    from fusionspark.report.phrases import Words
    from fusionspark.report.sections import comparison

    changed = [{"row_id": f"r{i}", "change": "broken", "first": SCRIPT, "second": "b"} for i in range(20)]
    rows = {"both": 20, "same": 0, "test": 20, "gain": -0.1, "interval": [-0.2, -0.01], "changed": changed}
    found = {"settings": [{"key": SCRIPT, "first": None, "second": "1"}], "rows": rows}
    words = Words("en")
    sections = comparison.build(realistic(points=5), hostile(), found, words)
    dom, console = opened(render_sections("two", "a and b", sections, words))
    assert console == []
    assert 'data-ready="true"' in dom and "<img" not in dom
    assert "right, now wrong" in dom and SCRIPT.replace("<", "&lt;").replace(">", "&gt;") in dom
