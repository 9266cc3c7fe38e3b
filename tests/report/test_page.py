"""The page without a browser: what it says, what it escapes, how large it gets."""

import copy
import json
import re
import string
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from runs import BIDI, IMAGE, SCRIPT, hostile, realistic

from fusionspark.errors import ConfigError, DataContractError
from fusionspark.report.display import flattened, visible
from fusionspark.report.page import render, script_json, write
from fusionspark.report.phrases import Words, all_phrases
from fusionspark.report.sections import BUILDERS
from fusionspark.report.sections.summary import build as summary


class Reader(HTMLParser):
    """Collects text, tags and attributes as a browser's parser sees them, scripts apart."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.text, self.tags, self.links, self._stack = [], [], [], []
        self.feed(html)
        self.text = re.sub(r"\s+", " ", " ".join(self.text))

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self._stack.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "action", "data")]
        self.links += [value for name, value in attrs if name.startswith("on")]

    def handle_endtag(self, tag):
        if tag in self._stack:
            while self._stack.pop() != tag:
                pass

    def handle_data(self, data):
        if not {"script", "style"} & set(self._stack):
            self.text.append(data)


def sentences(run, language="en"):
    return Reader(" ".join(summary(run, Words(language)).blocks[0].lines)).text


def test_summary_says_what_came_out():
    text = sentences(realistic())
    assert "best of 3 algorithms is logistic_regression , chosen by macro-F1 on the validation rows" in text
    assert "On 199 test rows it has accuracy 74.9%" in text
    assert "positive , would reach 63.8% ; the model gains 11.1 points" in text
    assert "some over-fitting" in text
    assert "979 rows came in, 975 went through and 4 ( 0.41% ) were quarantined" in text
    assert "969 encoded at 31 texts/s, 6 reused" in text  # 969 texts in 31.6 s
    assert "silhouette 0.12 : hardly apart" in text
    assert "longest stage was mine with 38.9 s" in text


def test_summary_does_not_flatter():
    run = realistic()
    test = run["classify"]["logistic_regression"]["test"]
    test["majority"]["accuracy"] = test["accuracy"] - 0.01
    assert "a gain is not shown" in sentences(run)
    test["majority"]["accuracy"] = 0.95
    assert "not worth using" in sentences(run)
    run["best"] = "multilayer_perceptron"
    assert "strong over-fitting" in sentences(run)
    run["rows"]["out"] = 900
    assert "do not add up" in sentences(run)
    for splits in run["classify"].values():
        del splits["validation"]
    assert "none were held out for validation" in sentences(run)


def test_summary_says_how_old_kept_models_are_and_how_they_still_do():
    run = realistic(points=20)
    run["models"] = {"of": "2026-03-13", "age_days": 1, "retrained": True}
    assert "not trained tonight" not in sentences(run)
    run["models"] = {
        "of": "2026-03-07", "age_days": 7, "retrained": False, "metric": "macro_f1", "margin": 0.05,
        "then": {"macro_f1": 0.71}, "now": {"macro_f1": 0.69}, "dropped": False,
    }  # fmt: skip
    assert "those of 2026-03-07 , 7 days old" in sentences(run)
    assert "their Macro-F1 was 0.710 when they were trained and is 0.690 tonight: no drop" in sentences(run)
    run["models"]["dropped"] = True
    assert "Train again" in sentences(run)


def test_changes_of_the_source_are_listed():
    run = realistic(points=20)
    drift = [
        {"column": "age", "kind": "gone", "before": "int", "now": None},
        {"column": SCRIPT, "kind": "category_share", "value": IMAGE, "before": 0.5, "now": 0.75},
    ]
    run["schema"] = {"compared_with": "2026-03-13", "drift": drift}
    assert "2026-03-13 : 2 differences" in sentences(run)
    page = Reader(render(run))
    assert "Source against the run of 2026-03-13" in page.text
    assert "age column gone int – " in page.text
    assert f"{SCRIPT} share of {IMAGE} 50.0% 75.0%" in page.text


def test_every_key_may_be_missing():
    whole = realistic(points=20)
    for language in ("en", "zh"):
        assert "<main>" in render({}, language=language)
    for key in whole:
        for value in ("missing", None, [], {}, "text", 3):
            run = copy.deepcopy(whole)
            if value == "missing":
                del run[key]
            else:
                run[key] = value
            _sections(run)
    for part in ("represent", "cluster", "quarantine", "rows", "receipt", "explain", "rules", "anomalies"):
        for key in whole[part]:
            for value in (None, "text", [None], {"a": None}):
                _sections({**whole, part: {**whole[part], key: value}})


def _sections(run):
    built = [build(run, Words("en")) for build in BUILDERS]
    # History, receipt, pictures, rules and anomalies alone may have nothing to say.
    assert len([section for section in built if section is not None]) >= len(BUILDERS) - 4
    return built


def test_clusters_have_a_name_rows_and_columns():
    run = realistic()
    text = Reader(render(run)).text
    assert "Cluster 0: weight, pounds, appetite" in text
    assert "drug = d0 : 50.0% of its rows, 20.0% of all rows ( 2.5 times as often)" in text
    assert "useful : 3.00 on average, 0.4 standard deviations below all rows ( 8.00 )" in text
    assert "Nearest to the centre (3)" in text and "Most typical in words (1)" in text
    assert "Since 2026-03-13 : 4 of 5 clusters stayed the same ones." in text
    assert "Of 960 rows in both runs 110 moved to another cluster; adjusted Rand index 0.81 ." in text
    assert "New: Cluster 4 (skin, face, cream), 95 ." in text
    assert "Gone: Cluster 9 (cough, syrup), 31 ." in text
    assert "Cluster 2 got most of the rows of Cluster 2, Cluster 9 ( 180 rows)." in text
    assert "Cluster 0, Cluster 4 came out of Cluster 0 ( 380 rows)." in text
    assert "5 has the highest silhouette on a sample of 979 rows; the cost bends at 4." in text
    assert "not on the executors" not in text
    run["cluster"]["fit"] = {"engine": "mllib", "why": "a reason & so on"}
    assert "fitted by MLlib's k-means, not on the executors: a reason & so on" in Reader(render(run)).text
    run["cluster"]["fit"] = {"engine": "scikit-learn", "why": "", "found": 5, "sample": 900, "noise": 0.25}
    said = "HDBSCAN found 5 dense groups in a sample of 900 rows. 25.0% of the sample lie in none"
    assert said in Reader(render(run)).text


def test_a_run_without_labels_says_so():
    run = realistic(points=20)
    del run["classify"], run["best"], run["receipt"]
    text = Reader(render(run)).text
    assert text.count("Nothing was classified") == 2
    assert "ROC" not in text


def test_explanations_say_what_was_found_and_whether_to_believe_it():
    run = realistic(points=20)
    text = Reader(render(run)).text
    assert "by 0.310 on average, deleting as many random words by 0.050 : 6.2 times as much" in text
    assert "The explanations are faithful" in text
    assert "text (embedding) +0.900" in text and "usefulCount = 12.0 -0.200" in text
    assert "positive (score 0.910) · true class: neutral" in text
    assert "50 changed texts; largest error 0.002" in text and "similar order (rank correlation 1.00)" in text
    assert "text (embedding) 0.200 0.010 0.200 0.200 0.200" in text
    run["explain"]["faithfulness"]["ratio"] = 1.4
    run["explain"]["stopped"] = "time"
    text = Reader(render(run)).text
    assert "read the words with care" in text and "was over before all was explained" in text
    del run["explain"]
    assert "Nothing was explained" in Reader(render(run)).text


def test_intervals_stand_beside_their_figures():
    text = Reader(render(realistic(points=20))).text
    assert "0.610 – 0.740" in text and "Expected calibration error: 0.080" in text
    assert "precision and recall on test rows" in text


def test_what_changed_in_the_rows_is_said():
    run = realistic(points=20)
    assert "compare the rows" not in Reader(render(run)).text, "runs from before this was counted"
    run["changes"] = {"new": 975, "changed": 0, "gone": 0, "same": 0, "since": None}
    assert "No earlier run is there to compare the rows with." in Reader(render(run)).text
    run["changes"] = {"new": 11, "changed": 12, "gone": 13, "same": 952, "since": "2026-03-13"}
    run["source"] = {"snapshot": "2026-03-12"}
    text = " ".join(Reader(render(run)).text.split())
    assert "from the snapshot of 2026-03-12" in text
    assert "11 rows are new, 12 changed, 952 stayed the same and 13 are gone" in text


def test_hostile_text_stays_text():
    html = render(hostile())
    page = Reader(html)
    assert page.tags.count("script") == 4  # two of data, plotly, the page's own
    assert "img" not in page.tags
    assert all(link.startswith("#") or link == "data:," for link in page.links)
    assert SCRIPT in page.text and IMAGE in page.text
    assert f"<bdi>{SCRIPT.replace('<', '&lt;').replace('>', '&gt;')}</bdi>" in html
    assert "\u202e" not in html and visible(BIDI) in page.text
    data = re.search(r'id="figure-data">(.*?)</script>', html, re.S).group(1)
    assert not set("<>&") & set(data)
    names = json.loads(data)["confusion"]["layout"]["xaxis"]["ticktext"]
    assert names[0].startswith("&lt;script&gt;")
    html.encode("utf-8")  # a lone surrogate would not


def test_the_page_may_load_nothing():
    html = render(realistic(points=20))
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html).group(1)
    assert policy.startswith("default-src &#39;none&#39;")
    assert "http" not in policy and policy.count("sha256-") == 2
    # Without `unsafe-inline` for scripts, one that was smuggled in would not run.
    assert "unsafe-inline" not in policy.split("style-src")[0]


def test_size_stays_bounded_at_any_table():
    run = realistic(points=20_000)
    for point in run["cluster"]["map"]:
        point["text"] = "long text " * 400
    classes = [f"class {i}" for i in range(300)]
    entry = run["classify"]["logistic_regression"]["test"]
    entry["confusion"] = {"labels": classes, "matrix": [[1] * 300 for _ in classes]}
    entry["classes"] = {
        c: {"precision": 1.0, "recall": 1.0, "f1": 1.0, "auc": 1.0, "support": 300} for c in classes
    }
    run["quarantine"]["reasons"] *= 2000
    run["config"] = {f"key{i}": "v" * 5000 for i in range(3000)}
    html = render(run)
    assert len(html.encode()) < 8_000_000
    text = Reader(html).text
    assert "A sample of 3,000 rows" in text
    assert "23 most frequent classes are shown; 277 more" in text
    assert "The first 1000 of 3000 rows are shown" in text
    cells = json.loads(re.search(r'id="figure-data">(.*?)</script>', html, re.S).group(1))["confusion"][
        "data"
    ][0]
    assert sum(int(cell.replace(",", "")) for row in cells["text"] for cell in row) == 300 * 300


def test_both_languages_have_the_same_phrases():
    english, chinese = (all_phrases()[language] for language in ("en", "zh"))
    assert set(english) == set(chinese)
    fields = string.Formatter().parse
    for key, phrase in english.items():
        assert {f for _, f, *_ in fields(phrase) if f} == {f for _, f, *_ in fields(chinese[key]) if f}, key
    html = render(realistic(points=20), language="zh")
    assert '<html lang="zh-CN">' in html
    assert "准确率" in Reader(html).text and "Accuracy" not in Reader(html).text
    with pytest.raises(ConfigError, match="did you mean 'en'"):
        render({}, language="eng")


def test_write_replaces_the_page_beside_its_run(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps(realistic(points=20)), encoding="utf-8")
    (tmp_path / "report.html").write_text("yesterday")
    assert write(tmp_path / "run.json") == tmp_path / "report.html"
    assert "Drug reviews" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["report.html", "run.json"]
    assert write(tmp_path, tmp_path / "zh.html", language="zh") == tmp_path / "zh.html"


def test_write_names_what_is_wrong(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        write(tmp_path / "run.json")
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(DataContractError, match="not JSON"):
        write(tmp_path)
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(DataContractError, match="list"):
        write(tmp_path)


def test_json_in_a_script_cannot_end_it():
    assert script_json(["</script><!--", "\u2028"]) == '["\\u003c/script\\u003e\\u003c!--","\\u2028"]'


def test_flattened_keeps_order_and_empty_values():
    assert list(flattened({"b": {}, "a": [{"x": True}]})) == [("b", "{}"), ("a[0].x", "true")]


def test_rendering_loads_no_pyspark():
    code = (
        "import sys; from fusionspark.report.page import render; render({}); print('pyspark' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_rules_and_anomalies_say_how_they_came_about():
    page = render(realistic(points=20))
    for said in ("topic: pill, period", "condition = Birth Control", "∞", "raised to", "2026-03-01"):
        assert said in page
    for said in ("usefulCount = 900 is odd", "0.9987"):
        assert said in page
    bare = render({"title": "no rules"})
    assert "Association rules" not in bare


def test_pictures_are_shown_whole_and_only_as_data():
    run = realistic(points=20)
    data = "data:image/jpeg;base64,AAAA"
    cards = [
        {"row_id": "r1", "label": "cat", "prediction": "dog", "text": SCRIPT, "picture": data},
        {"row_id": "r2", "label": "cat", "prediction": "cat", "text": None, "picture": data},
        {
            "row_id": "r3",
            "label": "cat",
            "prediction": None,
            "text": None,
            "picture": "https://example.org/a.jpg",
        },
    ]
    run["image"] = {"pictures": 3, "distinct": 2, "encoded": 2, "reused": 0}
    run["pictures"] = {"samples": cards}
    page = render(run)
    assert page.count(data) == 2
    assert "example.org" not in page
    assert Reader(page).text.count("taken for dog") == 1
    assert SCRIPT not in page


def test_columns_that_tell_the_label_are_named():
    run = realistic(points=20)
    run["leaks"] = {"threshold": 0.99, "found": [{"column": SCRIPT, "auc": 0.9991}]}
    page = Reader(render(run))
    assert f"Columns that alone tell the label Column ROC-AUC {SCRIPT} 0.999" in page.text


def test_what_prepare_found_in_the_texts_stands_beside_the_data():
    run = realistic(points=20)
    assert "groups of near-duplicates" not in Reader(render(run)).text
    run["rows"]["out"] = 200
    run["prepare"] = {
        "languages": {"en": 150, "zh": 50},
        "masked": {"rows": 20, "times": {"email": 31}},
        "near_duplicates": {"groups": 7, "rows": 30, "largest": 4},
        "tagging": {"words": 1000, "shares": {"NOUN": 0.25, "X": 0.0}},
        "sentences": 640,
    }
    text = " ".join(Reader(render(run)).text.split())
    assert "texts in the language zh 50 25.0%" in text
    assert "rows with masked personal data 20 10.0%" in text
    assert "masked: email 31" in text
    assert "groups of near-duplicates 7" in text
    assert "rows in such groups 30 15.0%" in text
    assert "words tagged NOUN 250 25.0%" in text
    assert "words tagged X" not in text
    assert "sentences 640" in text
