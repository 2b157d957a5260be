"""Mail -> its subject as heading, what was written, the names of what was attached."""

import email
import re
from datetime import datetime
from email import policy
from email.message import EmailMessage, Message
from typing import Any, cast

from app.core.errors import DocumentRefused
from ingest.parse import html, plain
from ingest.parse.blocks import Block, Text

_HEADERS = frozenset("from to cc subject date received message-id mime-version content-type return-path".split())
_STUB = 0.2
"""Share of the HTML part's length below which a plain part only says that there is an HTML part."""
_SEALED = frozenset(["multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime"])
_QUOTED = re.compile(r">+ ?")
_SEVEN_BITS = ("iso-2022-", "hz", "utf-7")


def parse(raw: bytes) -> Text:
    """Read a mail: of two versions of the same text the plain one. Attachments are named, not read.

    Raises:
        DocumentRefused: ``binary``, ``corrupt`` or ``encrypted``.
    """
    if plain.is_binary(raw[:1024]):
        raise DocumentRefused("binary", "The file is no mail.")
    message = email.message_from_bytes(raw.removeprefix(b"\xef\xbb\xbf").lstrip(), policy=policy.default)
    if not _HEADERS & {name.lower() for name, _ in message.raw_items()}:
        raise DocumentRefused(
            "corrupt", "The file is named .eml and does not begin as a mail does. Rename it to .txt if it is text."
        )
    subject = _header(message, "Subject")
    attached: list[str] = []
    blocks = [Block(subject, level=1), *_body(message, attached)]
    if len(blocks) == 1 and message.get_content_type() in _SEALED and _is_sealed(message):
        raise DocumentRefused("encrypted", "The mail is encrypted. Save its text with the program that can read it.")
    if attached:
        blocks.append(Block("Attachments: " + ", ".join(attached)))
    told: dict[str, Any] = {name.lower(): _header(message, name) for name in ("From", "To", "Cc")}
    told["date"] = _date(message)
    told["attachments"] = attached
    return Text(blocks, subject, {name: value for name, value in told.items() if value})


def _header(message: Message, name: str) -> str:
    """Return a header on one line. The library's parser fails on some that are malformed: those are taken as they stand."""
    try:
        value = str(message[name] or "")
    except Exception:
        value = next((str(value) for header, value in message.raw_items() if header.lower() == name.lower()), "")
    return " ".join(value.encode("utf-8", "surrogateescape").decode("utf-8", "replace").split())


def _date(message: EmailMessage) -> str:
    """Return when it was sent, as ISO 8601 in the sender's time zone, so that dates can be compared; else as it says."""
    try:
        found = getattr(message["Date"], "datetime", None)
    except Exception:
        found = None
    return found.isoformat() if isinstance(found, datetime) else _header(message, "Date")


def _body(part: Message, attached: list[str]) -> list[Block]:
    """Return what a part says, in order; fill in the names of what is attached."""
    kind, within = part.get_content_type(), _parts(part)
    if kind == "message/rfc822" or part.get_content_disposition() == "attachment":
        attached.append(_name(part, within))
        return []
    if kind == "multipart/alternative":
        return _better([_body(one, attached) for one in within])
    if part.is_multipart():
        if kind == "multipart/related":  # its pictures stand in the text
            within = [one for one in within if one.get_content_maintype() != "image"]
        return [block for one in within for block in _body(one, attached)]
    if kind in ("text/html", "text/plain"):
        try:
            return html.parse(_utf8(part)).blocks if kind == "text/html" else _plain(part)
        except DocumentRefused:  # an empty part is no empty mail
            return []
    if part.get_filename():
        attached.append(_name(part, within))
    return []


def _parts(part: Message) -> list[Message]:
    payload = part.get_payload() if part.is_multipart() else []
    return [one for one in cast("list[Any]", payload) if isinstance(one, Message)]


def _name(part: Message, within: list[Message]) -> str:
    name = part.get_filename() or (_header(within[0], "Subject") if within else "")
    return " ".join(name.split()) or part.get_content_type()


def _better(versions: list[list[Block]]) -> list[Block]:
    """Return the first version (plain stands before HTML), unless it is a stub."""
    longest = max((_length(version) for version in versions), default=0)
    return next((version for version in versions if version and _length(version) >= _STUB * longest), [])


def _length(blocks: list[Block]) -> int:
    return sum(len(block.text) for block in blocks)


def _plain(part: Message) -> list[Block]:
    text = _utf8(part).decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    if part.get_param("format") == "flowed":
        text = _unflowed(text, has_space=part.get_param("delsp") != "yes")
    return plain.parse(text.encode()).blocks if text.strip() else []


def _utf8(part: Message) -> bytes:
    """Return a part's text in UTF-8; HTML that only names its encoding itself, as it is."""
    raw = part.get_payload(decode=True)
    charset = part.get_content_charset()
    if not isinstance(raw, bytes) or not raw.strip():
        return b""
    if charset and charset.startswith(_SEVEN_BITS):  # valid as UTF-8 too, and nonsense then
        try:
            return raw.decode(charset, "replace").encode()
        except LookupError:
            charset = None
    return raw if charset is None and part.get_content_subtype() == "html" else plain.decode(raw, charset).encode()


def _unflowed(text: str, *, has_space: bool) -> str:
    """Join the lines that only the sender's program broke (RFC 3676)."""
    out: list[str] = []
    goes_on, depth = False, 0
    for line in text.split("\n"):
        quoted = _QUOTED.match(line)
        before, depth = depth, line[: quoted.end()].count(">") if quoted else 0
        if goes_on and depth == before and line.strip():
            out[-1] += line[quoted.end() :] if quoted else line
        else:
            out.append(line)
        goes_on = line.endswith(" ") and line != "-- "
        if goes_on and not has_space:
            out[-1] = out[-1][:-1]
    return "\n".join(out)


def _is_sealed(message: Message) -> bool:
    return message.get_content_type() == "multipart/encrypted" or message.get_param("smime-type") in (None, "enveloped-data")
