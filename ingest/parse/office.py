"""A Word, PowerPoint or Excel package -> the title in its properties."""

import re
import zipfile

from lxml import etree

from ingest.parse.archive import member, tree

_PROPERTIES = "docProps/core.xml"
_TITLE = "{http://purl.org/dc/elements/1.1/}title"
_JUNK = re.compile(
    r"untitled|(?:power\s?point[ -]pr[äe]sent\w+|presentation|pr[äe]sentation|document|slide|folie)\s*\d*\Z"
    r"|microsoft (?:word|excel|powerpoint)|.*\.(?:docx?|pptx?|xlsx?|dotx?|potx?)\Z",
    re.IGNORECASE,
)
"""What programs put there by themselves."""


def title(archive: zipfile.ZipFile) -> str:
    """Return a package's title; empty when it has none that a person chose."""
    properties = member(archive, _PROPERTIES, what="file")
    try:
        found = (tree(properties).findtext(_TITLE) or "").strip() if properties else ""
    except etree.XMLSyntaxError:  # broken properties are no broken document
        return ""
    return "" if _JUNK.match(found) else found
