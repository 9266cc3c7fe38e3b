"""Universal part-of-speech tags, and what jieba's tags are in their terms. Pure Python.

The 17 tags are those of Universal Dependencies (https://universaldependencies.org/u/pos/). jieba tags after
the scheme of Peking University and ICTCLAS, which knows no auxiliaries and no determiners; the words below
part those, as the Chinese treebanks of Universal Dependencies do.
"""

from __future__ import annotations

from collections.abc import Sequence

# fmt: off
UNIVERSAL_TAGS = (
    "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN", "PUNCT",
    "SCONJ", "SYM", "VERB", "X",
)
#: Tags of words that carry the content: the open classes of Universal Dependencies without interjections.
CONTENT_TAGS = frozenset(["ADJ", "ADV", "NOUN", "PROPN", "VERB"])

#: jieba's tag, or its first letter where the whole tag is not listed.
_JIEBA = {
    "a": "ADJ", "ad": "ADV", "b": "ADJ", "c": "SCONJ", "d": "ADV", "e": "INTJ", "eng": "PROPN", "f": "ADP",
    "g": "NOUN", "h": "PART", "i": "VERB", "j": "NOUN", "k": "PART", "l": "VERB", "m": "NUM", "mq": "NOUN",
    "n": "NOUN", "nr": "PROPN", "nrt": "PROPN", "nrfg": "PROPN", "ns": "PROPN", "nt": "PROPN", "nz": "PROPN",
    "o": "INTJ", "p": "ADP", "q": "NOUN", "r": "PRON", "s": "NOUN", "t": "NOUN", "u": "PART", "ug": "AUX",
    "ul": "AUX", "uz": "AUX", "v": "VERB", "vn": "NOUN", "vd": "ADV", "an": "NOUN", "y": "PART", "z": "ADJ",
    "zg": "ADV",
}
_AUXILIARIES = frozenset([
    "是", "会", "能", "能够", "可以", "可", "应", "应该", "应当", "该", "须", "必须", "得", "不能",
    "不会", "愿意",
])
_COORDINATORS = frozenset([
    "和", "与", "及", "以及", "或", "或者", "而", "而且", "并", "并且", "但", "但是", "不过", "还是", "跟",
    "同", "可是", "却",
])
_DETERMINERS = frozenset([
    "这", "那", "每", "各", "某", "哪", "该", "本", "此", "这些", "那些", "有些", "一些",
])
_PARTICLES = frozenset(["啊", "哦", "吗", "呢", "吧", "嘛", "啦", "呀", "么", "哒", "呐"])
_SYMBOLS = frozenset("+-=*/%$€£¥￥@#^~～<>|°℃&")
# fmt: on


def universal_tags(words: Sequence[str], tags: Sequence[str]) -> list[str]:
    """Universal tag of every word of a text that jieba has tagged.

    ``了`` is an auxiliary of aspect inside a sentence and a particle at its end.

    >>> universal_tags(["这", "书", "是", "新", "的", "。"], ["r", "n", "v", "a", "uj", "x"])
    ['DET', 'NOUN', 'AUX', 'ADJ', 'PART', 'PUNCT']
    """
    found = []
    for i, (word, tag) in enumerate(zip(words, tags, strict=True)):
        after = tags[i + 1][0] if i + 1 < len(tags) else "x"
        found.append(_universal(word, tag, after))
    return found


def _universal(word: str, tag: str, after: str) -> str:
    if tag == "x" or not any(c.isalnum() for c in word):
        return _not_a_word(word)
    found = _JIEBA.get(tag) or _JIEBA.get(tag[0], "X")
    if word in _PARTICLES or (tag in {"ul", "ug"} and after in "xw"):
        found = "PART"
    elif word in _AUXILIARIES and tag[0] in "vcd":
        found = "AUX"
    elif word in _COORDINATORS and tag[0] in "cpd":
        found = "CCONJ"
    elif _points(word) and tag[0] in "rm" and after in "nqmavbtsfj":
        found = "DET"
    return found


def _points(word: str) -> bool:
    """Whether a word may be a determiner: those listed, and 这个, 每家 and the like."""
    return word in _DETERMINERS or (len(word) == 2 and word[0] in "这那每哪")


def _not_a_word(word: str) -> str:
    if any(c.isdigit() for c in word):
        return "NUM"
    if any(c.isalpha() for c in word):
        return "X"
    return "SYM" if word and all(c in _SYMBOLS for c in word) else "PUNCT"


def tag_shares(tags: Sequence[str]) -> list[float]:
    """Share of each of `UNIVERSAL_TAGS` among the words of a text; zeros where there is none.

    >>> dict(zip(UNIVERSAL_TAGS, tag_shares(["NOUN", "NOUN", "VERB", "PUNCT"])))["NOUN"]
    0.5
    """
    whole = len(tags) or 1
    return [tags.count(tag) / whole for tag in UNIVERSAL_TAGS]
