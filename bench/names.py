"""How a list of authors is read from what a book shop typed: into people, and which of them are one.  Pure.

The rules are of names and of typing, not of any one book:

- what is damaged in transit is mended: HTML entities, UTF-8 that was read as Latin-1;
- remarks in brackets are dropped, and whoever is said to have written the foreword with them; `By (author)`,
  `Edited by`, `et al`, `etc.` and academic titles name nobody;
- people are apart at `;` `/` `|` `~` `&` `and` ` - ` `<br>`, and where a capital follows a small letter at once;
- `Last, First` and `First Last` are told apart by which side of a comma is one word; `Last, First Last, First` is
  taken apart too;
- two names are one person if the last names agree, whatever their case, accents, hyphens and apostrophes, and the
  first initials do, or all initials of one are among those of the other; a last name alone agrees with any of them;
- a text that is a last name alone, or that says `et al` or `etc.`, is short: it says who comes first, not who else;
- what fits no rule names those of the book's people, as its other claims name them, whose last names stand in it.
"""

import html
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

_NOBODY: Final = frozenset(("none", "unknown", "various", "author", "authors", "editor", "editors", "na", "by"))
_PARTICLES: Final = frozenset(
    ("al", "ben", "bin", "da", "de", "del", "den", "der", "di", "du", "el", "la", "le", "st", "ter", "van", "von")
)
_WHOLE_WORD: Final = 5  # letters from which on a last name is looked for inside a longer word

_MANGLED: Final = re.compile(r"and(amp|apos|quot|lt|gt);", re.IGNORECASE)
_FOREWORD: Final = re.compile(
    r"[^;/|)]*\((?:foreword|frw|preface|introduction|afterword|illustrator|ilt|translator|trn)\b[^)]*\)", re.IGNORECASE
)
_REMARK: Final = re.compile(r"\([^)]*(?:\)|$)")
_ROLE: Final = re.compile(
    r"\b(?:by\s*\(authors?\)|edited by|editors?\s*:|et\.? al\b\.?|etc\b\.?|and others)", re.IGNORECASE
)
_AND_OTHERS: Final = re.compile(r"\b(?:et\.? al|etc|and others)\b", re.IGNORECASE)
_TITLE: Final = re.compile(
    r",?\s*(?<![\w.'-])(?:ph\.?\s?d|dr|prof(?:essor)?|mrs?|jr|sr|i{2,3})(?![\w'-])\.?", re.IGNORECASE
)
_APART: Final = re.compile(r"[;/|~&]|<[^>]*>?|\s-+\s|,?\s+(?i:and)\s")
_BREAK: Final = re.compile(r"(?<=[a-z.])BR(?=[A-Z][a-z])")  # what is left of <br>
_HYPHEN_COMMA: Final = re.compile(r"(?<=\w)-\s")
_GLUED: Final = re.compile(r"(?<=[a-zß-ÿ])(?=[A-ZÀ-Þ][a-zß-ÿ'])")
_JOINS_CAPITALS: Final = re.compile(r"(?:\b|_)(?:Ma?c|De|Del|Di|Du|Da|La|Le|Van|Von|Fitz|St|O')$")
_WORD: Final = re.compile(r"[^\W\d_]+(?:['’_-][^\W\d_]+)*")


class Name(NamedTuple):
    """A person's name, letters only and folded; given names in their order, none if only the last one is known."""

    last: str
    given: tuple[str, ...] = ()

    @property
    def initials(self) -> frozenset[str]:
        """Of the given names."""
        return frozenset(name[0] for name in self.given)


class Reading(NamedTuple):
    """The people that a text names for certain, its words that fit no rule, and whether it is a short list."""

    names: tuple[Name, ...]
    unclear: tuple[str, ...] = ()
    is_short: bool = False


def fold(text: str) -> str:
    """Letters alone, without case and accents."""
    plain = unicodedata.normalize("NFKD", text).casefold().replace("ø", "o").replace("ł", "l").replace("ı", "i")
    return "".join([letter for letter in plain if letter.isalpha()])


def same_person(one: Name, other: Name) -> bool:
    """Whether two names may be one person's."""
    if one.last == other.last:
        if not one.given or not other.given:
            return True
        first = one.given[0][0] == other.given[0][0]
        return first or one.initials <= other.initials or other.initials <= one.initials
    # Last name first, without the comma.
    return bool(one.given and other.given) and one.last == other.given[0] and other.last == one.given[0]


def read_authors(text: str) -> Reading:
    """The people of a text by itself."""
    names: list[Name] = []
    unclear: list[str] = []
    for part in _parts(_mend(text)):
        found = _read_part(part)
        if found is None:
            unclear += map(fold, _words(part))
        else:
            names += [name for name in found if name.last]
    is_key = len(names) == 1 and not names[0].given and not unclear
    return Reading(tuple(names), tuple(unclear), is_key or bool(_AND_OTHERS.search(text)))


class Roster:
    """The people of one book, numbered, and whom of them each of its texts names.

    Names come to people whole ones first, then in the order of their weight, so that a last name alone goes to the
    heaviest who bears it.
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        """weights: by text."""
        self._readings = readings = {text: read_authors(text) for text in weights}
        self._weights = weights
        heavy: dict[Name, float] = {}
        for text, reading in readings.items():
            for name in set(reading.names):
                heavy[name] = heavy.get(name, 0.0) + weights[text]
        ordered = sorted(heavy, key=lambda name: (not name.given, -heavy[name], name))
        self.names: list[Name] = []
        """By the person's number: the name of most weight."""
        number_of = {name: self._number(name) for name in ordered}
        self.people = {
            text: tuple(sorted({number_of[name] for name in reading.names} | set(self._named_in(reading.unclear))))
            for text, reading in readings.items()
        }

    def shares(self, *, short_deny: bool = True) -> dict[int, float]:
        """By person, the weight of the texts that name it as a part of that of all texts.

        not short_deny: texts that are short count only for those whom they name.
        """
        named = dict.fromkeys(range(len(self.names)), 0.0)
        asked = dict(named)
        for text, weight in self._weights.items():
            people = self.people[text]
            for person in people:
                named[person] += weight
            is_silent = self._readings[text].is_short and not short_deny
            for person in people if is_silent else asked:
                asked[person] += weight
        return {person: named[person] / asked[person] if asked[person] else 0.0 for person in named}

    def _number(self, name: Name) -> int:
        for number, known in enumerate(self.names):
            if same_person(name, known):
                return number
        self.names.append(name)
        return len(self.names) - 1

    def _named_in(self, words: Sequence[str]) -> Iterable[int]:
        """Those whose last names stand among words; of several who share one, those whose given names do too."""
        if not words:
            return
        whole, glued = frozenset(words), "".join(words)
        for number, name in enumerate(self.names):
            if name.last not in whole and (len(name.last) < _WHOLE_WORD or name.last not in glued):
                continue
            namesakes = sum(other.last == name.last for other in self.names)
            if namesakes == 1 or any(given in whole or (len(given) > 1 and given in glued) for given in name.given):
                yield number


def _mend(text: str) -> str:
    text = html.unescape(html.unescape(_MANGLED.sub(r"&\1;", text)))
    if "Ã" in text:
        try:
            return text.encode("latin-1").decode("utf-8")
        except UnicodeError:
            return text
    return text


def _parts(text: str) -> list[str]:
    text = _ROLE.sub(";", _BREAK.sub(";", text))
    text = _FOREWORD.sub(";", text)
    text = _REMARK.sub(";", text)
    text = _TITLE.sub(" ", text)
    text = _HYPHEN_COMMA.sub(",", text.replace(".", ". "))
    text = _GLUED.sub(lambda found: "" if _JOINS_CAPITALS.search(text[: found.start()]) else ";", text)
    return [part for part in _APART.split(text) if part and part.strip(" ,.")]


def _words(text: str) -> list[str]:
    return _WORD.findall(text)


def _read_part(part: str) -> list[Name] | None:
    """The people of what stands between separators; None if it fits no rule."""
    fields = [words for field in part.split(",") if (words := _words(field))]
    fields = [words for words in fields if fold("".join(words)) not in _NOBODY]
    if not fields:
        return []
    if len(fields) == 1:
        return _first_last_each(fields) if len(fields[0]) <= 3 or _is_one_name(fields[0]) else None
    if all(len(words) > 1 and not _is_last(words) for words in fields):
        return _first_last_each(fields) if all(len(words) <= 4 for words in fields) else None
    if len(fields) % 2 == 0 and all(_is_last(words) for words in fields[::2]):
        return [_name(last, given) for last, given in zip(fields[::2], fields[1::2], strict=True)]
    if len(fields) == 2 and len(fields[1]) == 1:
        return [_name(fields[0], fields[1])]
    if _is_last(fields[0]) and all(len(words) > 1 for words in fields[1:-1]):
        return _last_first_in_a_row(fields)
    return None


def _is_last(words: Sequence[str]) -> bool:
    """Whether words are a last name: one word, or particles and one."""
    return all(word.casefold() in _PARTICLES for word in words[:-1])


def _is_one_name(words: Sequence[str]) -> bool:
    """Whether more than three words are still one name: initials and particles do not count."""
    return sum(len(word) > 1 and word.casefold() not in _PARTICLES for word in words) <= 3


def _first_last_each(fields: Sequence[Sequence[str]]) -> list[Name]:
    names = []
    for words in fields:
        at = len(words) - 1
        while at > 1 and words[at - 1].casefold() in _PARTICLES:
            at -= 1
        names.append(_name(words[at:], words[:at]))
    return names


def _last_first_in_a_row(fields: Sequence[Sequence[str]]) -> list[Name]:
    """`Last, First Last, First Last, First`: the last word before a comma is the next last name."""
    names = []
    last = fields[0]
    for words in fields[1:-1]:
        names.append(_name(last, words[:-1]))
        last = words[-1:]
    names.append(_name(last, fields[-1]))
    return names


def _name(last: Sequence[str], given: Sequence[str]) -> Name:
    parts = [fold(part) for word in given for part in re.split(r"[-_]", word)]
    return Name(fold("".join(last)), tuple([part for part in parts if part]))
