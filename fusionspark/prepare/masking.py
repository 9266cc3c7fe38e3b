"""Personal data in a text replaced by placeholders. Pure Python.

Rules, not a model: what has a form of its own is found (an address with an @, a number with a check digit);
names of people are not. A number that carries check digits must pass them, so that an order number stays.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence

from fusionspark.prepare.text_rules import clean, fold_width

#: A text grows by masking at most so many times: "@me" becomes "[MENTION]".
MASKING_BOUND = 3

_URL = re.compile(
    r"(?:https?://|ftp://|www\.)[^\s<>\"，。！？；、）】》]*[^\s<>\"，。！？；、）】》.,;:!?)\]']",
    re.IGNORECASE,
)
_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![A-Za-z])"
)
#: A name of Weibo, X and the like ends at white space or punctuation.
_MENTION = re.compile(r"(?<![\w@])@[\w-]{2,30}")
_PHONE = re.compile(
    r"(?<![0-9A-Za-z+])(?:"
    r"\+[0-9]{1,3}[ .-]?\(?[0-9]{1,4}\)?(?:[ .-]?[0-9]{2,4}){2,4}"  # +44 20 7946 0958
    r"|\([0-9]{3}\) ?[0-9]{3}[ .-][0-9]{4}|[0-9]{3}[ .-][0-9]{3}[ .-][0-9]{4}"  # (202) 555-0143
    r"|1[3-9][0-9](?:[ -]?[0-9]{4}){2}"  # 138 0013 8000
    r"|0[0-9]{2,3}[ -]?[0-9]{7,8}"  # 010-62788888
    r"|400[ -]?[0-9]{3}[ -]?[0-9]{4}"  # 400-810-8888
    r")(?![0-9A-Za-z])"
)
_CARD = re.compile(r"(?<![0-9A-Za-z])[0-9](?:[ -]?[0-9]){12,18}(?![0-9A-Za-z])")
_IBAN = re.compile(
    r"(?<![0-9A-Za-z])[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![0-9A-Za-z])"
)
_ID = re.compile(
    r"(?<![0-9A-Za-z])(?:[1-9][0-9]{16}[0-9Xx]|(?!000|666|9)[0-9]{3}-(?!00)[0-9]{2}-(?!0000)[0-9]{4})"
    r"(?![0-9A-Za-z])"
)
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1?[0-9]{1,2})"
_IP = re.compile(rf"(?<![0-9A-Za-z.]){_OCTET}(?:\.{_OCTET}){{3}}(?![0-9A-Za-z]|\.[0-9])")


def _luhn(found: str) -> bool:
    """Whether the last digit checks the others (ISO/IEC 7812-1)."""
    digits = [int(c) for c in found if c.isdigit()][::-1]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0 and any(digits)


def _mod97(found: str) -> bool:
    """Whether the two digits after the country check the rest (ISO 13616)."""
    plain = found.replace(" ", "")
    return int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1


def _resident(found: str) -> bool:
    """Whether the last character of a Chinese resident number checks the others (GB 11643); others pass."""
    if "-" in found:
        return True
    remainder = sum(int(digit) * 2 ** (17 - i) for i, digit in enumerate(found[:17])) % 11
    return "10X98765432"[remainder] == found[17].upper()


#: Kind -> pattern and check, in the order in which they look: the stricter first.
RULES: dict[str, tuple[re.Pattern[str], Callable[[str], bool] | None]] = {
    "url": (_URL, None),
    "email": (_EMAIL, None),
    "iban": (_IBAN, _mod97),
    "id_number": (_ID, _resident),
    "card": (_CARD, _luhn),
    "phone": (_PHONE, None),
    "ip": (_IP, None),
    "mention": (_MENTION, None),
}


def placeholder(kind: str) -> str:
    """What stands in place of the data.

    >>> placeholder("id_number")
    '[ID_NUMBER]'
    """
    return f"[{kind.upper()}]"


def mask(text: str, kinds: Sequence[str]) -> tuple[str, dict[str, int]]:
    """Replace personal data of these kinds, and count it by kind.

    Full-width digits and letters are read as plain ones. Masking twice changes nothing, and the result is at
    most `MASKING_BOUND` times as long.

    >>> mask("call 138 0013 8000 or write to a.b@example.org", ["email", "phone"])
    ('call [PHONE] or write to [EMAIL]', {'email': 1, 'phone': 1})
    >>> mask("order 4111 1111 1111 1112, card 4111 1111 1111 1111", ["card"])
    ('order 4111 1111 1111 1112, card [CARD]', {'card': 1})
    """
    counts: Counter[str] = Counter()
    chosen = [kind for kind in RULES if kind in kinds]
    before = None
    # What is next to a placeholder may have a form of its own now. Each round leaves fewer digits and @.
    while text != before:
        before = text
        for kind in chosen:
            text = _mask_one(text, kind, counts)
    return text, {kind: counts[kind] for kind in chosen if counts[kind]}


def _mask_one(text: str, kind: str, counts: Counter[str]) -> str:
    pattern, check = RULES[kind]
    # One character becomes one, so positions are those of the text itself.
    folded = text if text.isascii() else fold_width(text)
    parts, end = [], 0
    for match in pattern.finditer(folded):
        if check is None or check(match.group()):
            parts += [text[end : match.start()], placeholder(kind)]
            end = match.end()
            counts[kind] += 1
    return "".join([*parts, text[end:]]) if parts else text


def repair(text: str | None, *, fold: bool, kinds: Sequence[str]) -> tuple[str | None, dict[str, int]]:
    """Clean one text (`clean`) and mask it (`mask`).

    >>> repair("ＱＱ&nbsp;：me@example.org", fold=True, kinds=["email"])
    ('QQ ：[EMAIL]', {'email': 1})
    """
    cleaned = clean(text, fold=fold)
    return (cleaned, {}) if cleaned is None or not kinds else mask(cleaned, kinds)
