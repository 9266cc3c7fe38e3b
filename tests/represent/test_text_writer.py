"""A small model that has learnt one answer: what it writes, and what is refused as no writer."""

import json

import pytest
from tiny_writer import LENGTH, make_writer

from fusionspark.errors import ConfigError
from fusionspark.mine.cluster_naming import named
from fusionspark.represent.text_writer import MOST_TOKENS, TextWriter

ASKED = [{"role": "system", "content": "name it"}, {"role": "user", "content": "the battery the charge"}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    words = ["screen", "charge", "the", "a", "of"]
    return make_writer(tmp_path_factory.mktemp("writer"), ["battery", "life"], words)


def test_it_writes_what_it_learnt_and_stops_at_its_end(folder):
    writer = TextWriter(str(folder))
    assert writer(ASKED) == "battery life" == writer(ASKED)
    assert len(writer.digest) == 64


def test_a_template_without_a_system_gets_all_in_one_turn(folder, tmp_path):
    import shutil

    copy = tmp_path / "chat"
    shutil.copytree(folder, copy)
    (copy / "chat_template.jinja").write_text(
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no such role') }}{% endif %}"
        "{{ m.content }} {% endfor %}Answer:"
    )
    writer = TextWriter(str(copy))
    assert writer._tokenizer.chat_template
    assert writer(ASKED) == "battery life"


def test_clusters_are_named_where_the_answer_is_of_their_data(folder):
    def cluster(number, *terms):
        rows = [{"row_id": "r1", "text": "battery life"}]
        return {
            "id": number,
            "name": ", ".join(terms),
            "terms": list(terms),
            "typical": rows,
            "lifts": [],
            "shifts": [],
        }

    clusters = [cluster(0, "screen"), cluster(1, "battery", "charge")]
    found, refused = named(clusters, TextWriter(str(folder)), {})
    assert [one["name"] for one in found] == ["screen", "battery life"]
    assert refused == {"0": "none of the words of the cluster in it"}


def test_a_question_that_is_too_long_is_an_error_and_not_cut(folder):
    fits = LENGTH - MOST_TOKENS - 1
    assert TextWriter(str(folder))([{"role": "user", "content": "the " * fits}]) == "battery life"
    with pytest.raises(ConfigError, match=f"reads {LENGTH} tokens"):
        TextWriter(str(folder))([{"role": "user", "content": "the " * (fits + 1)}])


def test_an_encoder_does_not_write(folder, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["BertModel"]}))
    with pytest.raises(ConfigError, match="does not write text: its architecture is BertModel"):
        TextWriter(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match="not stated"):
        TextWriter(str(tmp_path))
