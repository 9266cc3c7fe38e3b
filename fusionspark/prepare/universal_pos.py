"""Universal part-of-speech tags, and what jieba's tags are in their terms. Pure Python.

The 17 tags are those of Universal Dependencies (https://universaldependencies.org/u/pos/). jieba tags after
the scheme of Peking University and ICTCLAS (Yu et al., Journal of Chinese Language and Computing 13, 2003),
which knows no auxiliaries, no determiners and no pro-adverbs; the words and rules below part those, as the
Chinese guidelines and treebanks of Universal Dependencies do (https://universaldependencies.org/zh/).
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
    "这", "那", "每", "各", "某", "哪", "该", "本", "此", "这些", "那些", "有些", "一些", "什么", "其他",
])
#: Frequent words that jieba's dictionary puts into a class that Universal Dependencies do not, found among
#: the 700 most frequent pairs of word and tag in 3,000 shopping reviews and Weibo posts.
_WORDS = {word: tag for tag, words in {
    "ADJ": "新鲜 一样 好吃 好看 实惠 免费 划算",
    "ADP": "离",
    "ADV": "有点 怎么 为什么 这么 那么 一起 本来 然后 同时",
    "AUX": "不是 是不是 可能 只能",
    "DET": "所有 任何",
    "NOUN": "东西 洗发水 宝贝 老公 左右 个 点 元 号 岁 年 月 日",
    "PRON": "大家",
    "VERB": "谢谢 穿 换 以为",
}.items() for word in words.split()}
_PARTICLES = frozenset(["啊", "哦", "吗", "呢", "吧", "嘛", "啦", "呀", "么", "哒", "呐"])
_TIMES, _PLACES = frozenset("天年月周日晚次时"), frozenset("里儿边样")
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
        before, after = (tags[k] if 0 <= k < len(tags) else "x" for k in (i - 1, i + 1))
        found.append(_universal(word, tag, before, after))
    return found


def _universal(word: str, tag: str, before: str, after: str) -> str:
    if tag == "x" or not any(c.isalnum() for c in word):
        return _not_a_word(word)
    found = _WORDS.get(word) or _JIEBA.get(tag) or _JIEBA.get(tag[0], "X")
    if word in _PARTICLES or (tag in {"ul", "ug"} and after[0] in "xw"):
        found = "PART"
    elif word in _AUXILIARIES and tag[0] in "vcd":
        found = "AUX"
    elif word in _COORDINATORS and tag[0] in "cpd":
        found = "CCONJ"
    elif word in {"没", "没有"} and after[0] == "v" and after != "vn":
        found = "ADV"
    elif tag == "p" and after in {"ul", "uz", "ug"}:
        # Only verbs take aspect: 用了, 给过.
        found = "VERB"
    elif tag == "f" and before[0] in "xw":
        # A localiser follows a word; at the start of a clause 以后 is a noun of time, 里面 one of place.
        found = "NOUN"
    elif tag[0] in "rm":
        found = _pointing(word, found, after)
    return found


def _pointing(word: str, tag: str, after: str) -> str:
    """Tag of a pronoun or numeral, which may be a determiner: 这 in 这 书, and 这个, 每家 and the like."""
    demonstrative = len(word) == 2 and word[0] in "这那每哪"
    if demonstrative and word[1] in _TIMES:
        return "NOUN"
    points = word in _DETERMINERS or (demonstrative and word[1] not in _PLACES)
    before_a_noun = after[0] in "nqmabtsfj" or after == "vn"
    return "DET" if points and before_a_noun else tag


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
