"""Reading PDFs as tests need it: whether a file is whole, its fonts, its text."""

import io
from collections.abc import Iterator
from typing import Any

from pypdf import PdfReader


def page_of(content: bytes) -> Any:
    """Return the one page of a PDF, which is read without any repair."""
    (page,) = PdfReader(io.BytesIO(content), strict=True).pages
    return page


def fonts(content: bytes) -> Iterator[tuple[str, bool]]:
    """Yield the name of each font of a page, and whether its outlines are in the file."""
    for font in page_of(content)["/Resources"].get("/Font", {}).values():
        font = font.get_object()
        parts = [part.get_object() for part in font.get("/DescendantFonts", [font])]
        for part in parts:
            described = part.get("/FontDescriptor", {})
            files = {"/FontFile", "/FontFile2", "/FontFile3"} & set(described)
            yield str(part["/BaseFont"]), any(described[one].get_data() for one in files)


def assert_pdf(content: bytes) -> None:
    """Look at one page: its text is text in embedded fonts, its drawing is lines, not pixels."""
    page = page_of(content)
    assert content.startswith(b"%PDF-1.")
    found = dict(fonts(content))
    assert found
    assert all(found.values()), found
    assert pdf_text(content)
    assert list(page.images) == []


def pdf_text(content: bytes) -> str:
    """Return the text of a page, in drawing order, without separators."""
    return page_of(content).extract_text().replace("\n", "")
