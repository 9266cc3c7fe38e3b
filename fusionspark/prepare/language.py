"""Which language a text is in. Pure Python.

The script decides where it can: Han characters without kana are Chinese, and so on. What is written in
letters that many languages share goes to py3langid (Lui & Baldwin, "langid.py: An Off-the-shelf Language
Identification Tool", 2012), which carries its model and needs no network.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

from fusionspark.errors import MissingExtraError

#: Language of texts without a letter (BCP 47: undetermined).
UNDETERMINED = "und"
#: Characters that are looked at; more make no difference.
LOOKED_AT = 400
#: Probability from which on a language other than English is believed; short texts look like many.
SURE = 0.8

_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f]")
_KANA = re.compile("[\u3041-\u30ff\u31f0-\u31ff\uff66-\uff9d]")
_HANGUL = re.compile("[\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3]")
_OTHER_WORD = re.compile(r"[^\W\d_]+")


def detect_language(text: str) -> str:
    """ISO 639-1 code of the language that most of a text is in; ``und`` without letters, ``en`` in doubt.

    A Han character counts as much as a word in letters: "iPhone 很好用" is Chinese. Kana makes the Han
    characters beside it Japanese.

    Raises
    ------
    MissingExtraError
        py3langid is not installed, and letters alone do not tell.

    >>> detect_language("iPhone 手机很好用"), detect_language("とても良い"), detect_language("42 :-)")
    ('zh', 'ja', 'und')
    """
    text = text[:LOOKED_AT]
    han, kana, hangul = (len(script.findall(text)) for script in (_HAN, _KANA, _HANGUL))
    eastern = han + kana + hangul
    if eastern:
        rest = len(_OTHER_WORD.findall(_HANGUL.sub(" ", _KANA.sub(" ", _HAN.sub(" ", text)))))
        if eastern >= rest:
            if hangul > han + kana:
                return "ko"
            return "ja" if kana * 5 > han else "zh"
    elif not _OTHER_WORD.search(text):
        return UNDETERMINED
    code, probability = _identifier()(text)
    return code if probability >= SURE else "en"


@functools.cache
def _identifier() -> Callable[[str], tuple[str, float]]:
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError as error:
        raise MissingExtraError("py3langid", "nlp", "finding out the language of a text") from error
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)

    def identify(text: str) -> tuple[str, float]:
        code, probability = identifier.classify(text)
        return str(code), float(probability)

    return identify
