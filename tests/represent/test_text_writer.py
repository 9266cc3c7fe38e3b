"""A small model that has learnt one answer: what it writes, and what is refused as no writer."""

import json

import pytest

from fusionspark.errors import ConfigError
from fusionspark.mine.cluster_naming import named
from fusionspark.represent.text_writer import MOST_TOKENS, TextWriter

WORDS = ["battery", "life", "screen", "charge", "the", "a", "of"]
LENGTH = 160
ASKED = [{"role": "system", "content": "name it"}, {"role": "user", "content": "the battery the charge"}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A GPT-2 of two thin layers that writes "battery life" after "Answer:", whatever stood before."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers

    torch.manual_seed(1)
    vocabulary = {word: i for i, word in enumerate(["[UNK]", "[END]", "Answer:", *WORDS])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made = tmp_path_factory.mktemp("writer")
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="[UNK]", eos_token="[END]"
    ).save_pretrained(made)
    config = transformers.GPT2Config(
        vocab_size=len(vocabulary), n_positions=LENGTH, n_embd=32, n_layer=2, n_head=2,
        bos_token_id=1, eos_token_id=1, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
    )  # fmt: skip
    model = transformers.GPT2LMHeadModel(config)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    end = torch.tensor([[2, 3, 4, 1]]).expand(16, -1)
    for step in range(80):
        before = torch.randint(0, len(vocabulary), (16, 1 + step % 100))
        rows = torch.cat([before, end], dim=1)
        told = torch.cat([torch.full_like(before, -100), end], dim=1)
        loss = model(rows, labels=told).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval().save_pretrained(made, safe_serialization=True)
    return made


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
