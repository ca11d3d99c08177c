"""Personal data, recognised by the name of a property and by the look of a value.

A person's own name cannot be told from another word by its look; everything else here errs on the side of
keeping silent.
"""

from __future__ import annotations

import re
import unicodedata

_ANYWHERE = ("email", "phone", "telefon", "address", "adress", "street", "postcode", "postal", "correo")
_WORDS = frozenset({
    "mail", "mails", "tel", "fax", "mobile", "handy", "whatsapp", "addr", "city", "zip", "zipcode", "plz", "note",
    "notes",
})  # fmt: skip
_THINGS = re.compile(
    r"(?:head|ear|smart|micro|i)phones?|mobile_(?:app|user|device)|email_domain"
    r"|(?:brand|campaign|category|course|event|file|form|group|list|page|plan|product|service|tag|variant)_?name"
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")

_EMAIL = re.compile(r"[^\s@]@[^\s@]|%40|mailto:")
_GAP = r"[\W_]{0,3}"
_DIALLED = re.compile(
    rf"(?:\+|(?<![^\W_])(?:tel|phone|mobile|fax)){_GAP}\d(?:{_GAP}\d){{6}}|\(\d{{2,5}}\){_GAP}\d(?:{_GAP}\d){{4}}"
)
_RUN = re.compile(r"(?<![^\W_])\d(?:[\s()./_\u2010-\u2015\u2212-]{0,3}\d)*(?![^\W_])")
_UUID_OR_TIME = re.compile(
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{4}-\d\d-\d\d[t ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:z|[+-]\d\d:?\d\d)?"
)
_YEAR, _SMALL = r"(?:19|20)\d\d", r"[0-3]?\d"
_DATE = re.compile(
    rf"{_YEAR}([-./ ]?){_SMALL}\1{_SMALL}|{_SMALL}([-./ ]){_SMALL}\2{_YEAR}|{_YEAR}[-./ ]{{1,3}}{_YEAR}"
)
_QUANTITY = re.compile(r"(?:0|[1-9]\d{0,7})(?:\.\d+)?")
_FEWEST_DIGITS = 7


def folded(text: str) -> str:
    """`text` in the one spelling of all that look or sound the same.

    >>> folded("ＶＩＰ") == folded("vip")
    True
    """
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def is_personal_name(name: str) -> bool:
    """True if a property called so would hold an e-mail address, a phone number, a name or an address.

    >>> [is_personal_name(each) for each in ("billing_phone", "E-Mail", "firstName", "plan_name", "size")]
    [True, True, True, False, False]
    """
    plain = "".join(each for each in unicodedata.normalize("NFKD", name) if not unicodedata.combining(each))
    words = [each for each in re.split(r"[\W_]+|\d+", _CAMEL.sub(" ", plain).casefold()) if each]
    rest = _THINGS.sub("", "_".join(words))
    glued = rest.replace("_", "")
    return any(each in glued for each in _ANYWHERE) or any(
        each in _WORDS or each.endswith(("name", "names")) for each in rest.split("_")
    )


def is_personal_text(text: str) -> bool:
    """True if `text` holds an e-mail address or a phone number.

    Dates, years and quantities of at most eight digits before the point do not look like a phone number;
    a longer number without a unit does, and so does one with a zero in front.

    >>> [is_personal_text(each) for each in ("ann@example.com", "0170 1234567", "5551234567")]
    [True, True, True]
    >>> [is_personal_text(each) for each in ("41", "1299.95", "2026-05-01", "10-20", "Gold 2026")]
    [False, False, False, False, False]
    """
    plain = folded(text)
    runs = (found[0].strip() for found in _RUN.finditer(_UUID_OR_TIME.sub("", plain)))
    return is_personal_code(text) or any(_is_dialled(each) for each in runs)


def is_personal_code(code: str) -> bool:
    """The same of an id or a SKU, whose bare digits are no phone number unless they are dialled like one.

    >>> [is_personal_code(each) for each in ("4006381333931", "100-200-3000", "+49 170 1234567")]
    [False, False, True]
    """
    plain = folded(code)
    return bool(_EMAIL.search(plain) or _DIALLED.search(plain))


def _is_dialled(run: str) -> bool:
    digits = sum(each.isdecimal() for each in run)
    return digits >= _FEWEST_DIGITS and not (_DATE.fullmatch(run) or _QUANTITY.fullmatch(run))
