"""Mail: the subject is the heading, one version of what was written, attachments by name."""

from email.message import EmailMessage

import pytest

from app.core.errors import DocumentRefused
from ingest.load import Item
from ingest.parse import Parsed, parse, sniff


def made(text: str = "Hello.\n", subject: str = "Greeting") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"] = "Ann <ann@example.org>", "help@example.org"
    message["Subject"], message["Date"] = subject, "Tue, 03 Mar 2026 10:00:00 +0100"
    message.set_content(text)
    return message


def read(source: EmailMessage | bytes) -> Parsed:
    raw = source if isinstance(source, bytes) else source.as_bytes()
    assert sniff(raw, ".eml") == ".eml"
    return parse(Item("a.eml", "s/a.eml", raw, ".eml"))


def refusal(raw: bytes) -> str:
    with pytest.raises(DocumentRefused) as refused:
        read(raw)
    return refused.value.reason


def test_the_subject_is_title_and_heading_and_the_rest_of_the_head_is_metadata():
    found = read(made(subject="Rückgabe – Frage"))

    assert found.title == "Rückgabe – Frage"
    assert found.text == "Rückgabe – Frage\n\nHello."
    assert found.metadata == {"from": "Ann <ann@example.org>", "to": "help@example.org", "date": "2026-03-03T10:00:00+01:00"}


def test_of_two_versions_the_plain_one_is_read_unless_it_is_a_stub():
    both = made("The plain version of what I have to say.")
    both.add_alternative("<p>The <b>HTML</b> version of what I have to say.</p>", subtype="html")
    stub = made("Use HTML.")
    stub.add_alternative(f"<p>The invoice is due. {'Please pay. ' * 20}</p>", subtype="html")

    assert read(both).text == "Greeting\n\nThe plain version of what I have to say."
    assert "The invoice is due." in read(stub).text
    assert "Use HTML" not in read(stub).text


def test_attachments_are_named_and_pictures_in_the_text_are_not():
    mail = made()
    mail.add_alternative("<p>Hello.</p><img src='cid:1'>", subtype="html")
    html = mail.get_payload()[1]
    html.add_related(b"x", "image", "png", cid="<1>", filename="logo.png")
    mail.add_attachment(b"12345-XYZ", maintype="text", subtype="plain", filename="serial.txt")
    mail.add_attachment(made(subject="Earlier"))

    found = read(mail)

    assert found.text == "Greeting\n\nHello.\n\nAttachments: serial.txt, Earlier"
    assert found.metadata["attachments"] == ["serial.txt", "Earlier"]


def test_text_in_parts_comes_whole():
    mail = made("Before.")
    mail.make_mixed()
    mail.add_attachment(b"\x89PNG", maintype="image", subtype="png", filename="a.png", disposition="inline")
    last = EmailMessage()
    last.set_content("After.")
    mail.attach(last)

    assert read(mail).text == "Greeting\n\nBefore.\n\nAfter.\n\nAttachments: a.png"


def test_lines_that_the_sender_s_program_broke_are_whole_again():
    raw = (
        b"Subject: Flow\nContent-Type: text/plain; format=flowed\n\nLogs are kept for \nthree years.\nNext line.\n"
        b"> a quote that \n> goes on\nAn answer.\n-- \nAnn\n"
    )

    assert read(raw).text == "Flow\n\nLogs are kept for three years.\nNext line.\n> a quote that goes on\nAn answer.\n-- \nAnn"


@pytest.mark.parametrize(
    ("charset", "encoding"), [("iso-2022-jp", "iso-2022-jp"), ("windows-1251", "cp1251"), ("x-unknown", "utf-8"), ("", "utf-8")]
)
@pytest.mark.parametrize("kind", ["plain", "html"])
def test_a_part_is_read_in_its_own_encoding(charset: str, encoding: str, kind: str):
    said = "Привет, мир" if encoding == "cp1251" else "地下鉄の料金"
    head = f'Subject: x\nContent-Type: text/{kind}; charset="{charset}"\nContent-Transfer-Encoding: 8bit\n\n'

    assert read(head.encode() + said.encode(encoding)).text == f"x\n\n{said}"


def test_an_html_part_may_name_its_encoding_itself():
    raw = b"Subject: x\nContent-Type: text/html\n\n<meta charset=windows-1251><p>" + "Привет".encode("cp1251") + b"</p>"

    assert read(raw).text == "x\n\nПривет"


@pytest.mark.parametrize("line", ["From: a@b <", "To: =?utf-8?q?broken", "Date: yesterday", "Subject: ==?=?", "Cc: ,,;:<>@"])
def test_a_malformed_header_costs_no_mail(line: str):
    assert "Hello." in read(f"Message-ID: <1@x>\n{line}\n\nHello.\n".encode()).text


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"Just a note that somebody named .eml\n\nwith text\n", "corrupt"),
        (b"Subject: x\n\n" + bytes(range(32)) * 30, "binary"),
        (b"Subject: x\nContent-Type: application/pkcs7-mime; smime-type=enveloped-data\n\nMIIB\n", "encrypted"),
        (b"Subject: x\nContent-Type: multipart/encrypted; boundary=b\n\n--b\nContent-Type: application/pgp-encrypted\n\nx\n--b--\n", "encrypted"),
    ],
)  # fmt: skip
def test_what_can_not_be_read_is_refused_by_its_code(raw: bytes, code: str):
    assert refusal(raw) == code
