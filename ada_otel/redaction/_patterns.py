"""What secrets look like by themselves, wherever they are. Each expression is linear on any text."""

from __future__ import annotations

import re

from ada_otel.redaction import _cards

MARK = "[redacted]"
#: The "Row (" of an echo begins within so many characters.
_ROW_WITHIN = 90

_jwt = re.compile(r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)*")
_scheme = re.compile(r"(?i)\b(bearer|basic)(\s{1,4}|%20|\+)([A-Za-z0-9._~+/=-]{6,})")
_private_key = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY( BLOCK)?-----")
_private_key_end = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_user_info = re.compile(r"://([^\s/?#\"'<>]*)@")
_vendor = re.compile(
    r"(?<![A-Za-z0-9])(?:sk-[A-Za-z0-9_-]{16,}|[srp]k_(?:live|test)_[A-Za-z0-9]{8,}|gh[pousr]_[A-Za-z0-9]{20,}|"
    r"github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,}|(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[A-Za-z0-9_-]{30,}|"
    r"xox[a-z]-[A-Za-z0-9-]{10,})"
)
_email = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}"
)
_literal = re.compile(r"'(?:[^']|'')*'")
_row = re.compile(r"(Failing row contains |Key \([^()\n]{0,200}\)=)\([^\n]{0,500}?\)(?=\.|\n|$)")
#: What SQLAlchemy logs of a statement's values, at INFO, and of each row, at DEBUG; after its logging token.
_prefix = r"(?:\[[^\]\n]{0,80}\] )?"
_echo = re.compile(
    rf"\A({_prefix}\[(?:generated in|cached since|no key|raw sql|caching disabled)[^\]\n]{{0,80}}\] ).*",
    re.DOTALL,
)
_echoed_row = re.compile(rf"\A({_prefix}Row )\([^,]*,.*\)\Z", re.DOTALL)


def by_appearance(text: str) -> str:
    """``text`` without what looks like a secret."""
    if "eyJ" in text:
        text = _jwt.sub(MARK, text)
    if "PRIVATE KEY" in text:
        text = _without_private_keys(text)
    if "://" in text and "@" in text:
        text = _user_info.sub(_without_password, text)
    if "earer" in text or "asic" in text or "EARER" in text or "ASIC" in text:
        text = _scheme.sub(rf"\1\2{MARK}", text)
    if _may_have_vendor_key(text):
        text = _vendor.sub(MARK, text)
    if _cards.RUN.search(text) is not None:
        text = _cards.CANDIDATE.sub(_without_card, text)
    if "[" in text:
        text = _without_parameters(text)
    if "Row (" in text[:_ROW_WITHIN]:
        text = _echoed_row.sub(rf"\1({MARK})", text)
    if ")=(" in text or "Failing row" in text:
        text = _row.sub(rf"\1({MARK})", text)
    return text


def without_emails(text: str) -> str:
    """``text`` without e-mail addresses."""
    return _email.sub(MARK, text) if "@" in text else text


def without_literals(statement: str) -> str:
    """SQL with ``?`` in the place of each literal text (semantic conventions, ``db.query.text``)."""
    if "'" not in statement:
        return statement
    statement = _literal.sub("?", statement)
    cut = statement.find("'")
    return statement if cut < 0 else statement[:cut] + "?"  # one that was cut off within a literal


def _may_have_vendor_key(text: str) -> bool:
    return (
        "sk-" in text
        or "k_" in text
        or "gh" in text
        or "glpat-" in text
        or "IA" in text
        or "AIza" in text
        or "xox" in text
    )


def _without_card(found: re.Match[str]) -> str:
    return MARK if _cards.is_card(found[0]) else found[0]


def _without_password(found: re.Match[str]) -> str:
    user, colon, password = found[1].partition(":")
    if not colon:
        return found[0] if len(user) < 20 else f"://{MARK}@"
    return f"://{user}:{MARK}@" if password else found[0]


def _without_private_keys(text: str) -> str:
    pieces: list[str] = []
    at = 0
    while (begin := _private_key.search(text, at)) is not None:
        pieces += (text[at : begin.start()], MARK)
        end = _private_key_end.search(text, begin.end())
        at = len(text) if end is None else end.end()
    pieces.append(text[at:])
    return "".join(pieces)


def _without_parameters(text: str) -> str:
    """Without what SQLAlchemy's errors and its echo show of a statement's values."""
    if text[0] == "[":
        text = _echo.sub(rf"\1{MARK}", text)
    if "[SQL: " not in text and "[parameters: " not in text:
        return text
    pieces: list[str] = []
    at = 0
    while True:
        sql, values = text.find("[SQL: ", at), text.find("[parameters: ", at)
        begin = min(found for found in (sql, values, len(text)) if found >= 0)
        pieces.append(text[at:begin])
        if begin == len(text):
            return "".join(pieces)
        end = text.find("]\n", begin)
        end = len(text.rstrip()) - 1 if end < 0 else end
        if begin == sql:
            pieces.append(without_literals(text[begin:end]))
        else:
            pieces.append(f"[parameters: {MARK}")
        at = max(end, begin + 1)
