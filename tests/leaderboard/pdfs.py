"""Reading PDFs as tests need it: whether a file is whole, its fonts, its text."""

import re
import zlib


def objects(content: bytes) -> dict[int, bytes]:
    """Return the objects of a PDF by number, found through its table of references."""
    start = int(re.search(rb"startxref\s+(\d+)\s+%%EOF\s*\Z", content)[1])
    assert content[start : start + 4] == b"xref"
    first, count = map(int, re.match(rb"xref\s+(\d+) (\d+)\s", content[start:]).groups())
    places = re.findall(rb"(\d{10}) \d{5} ([nf])", content[start:])
    assert (first, len(places)) == (0, count)
    found = {}
    for number, (place, kind) in enumerate(places):
        if kind == b"n":
            match = re.match(rb"%d 0 obj\s(.*?)\sendobj" % number, content[int(place) :], re.DOTALL)
            assert match is not None, number
            found[number] = match[1]
    return found


def stream(item: bytes) -> bytes:
    head, _, rest = item.partition(b"stream\n")
    length = int(re.search(rb"/Length (\d+)", head)[1])
    assert re.match(rb"\r?\nendstream", rest[length:])
    return zlib.decompress(rest[:length]) if b"/FlateDecode" in head else rest[:length]


def assert_pdf(content: bytes) -> None:
    """Look at header, references and streams; there is one page, and every font is embedded."""
    assert content.startswith(b"%PDF-1.")
    assert content.rstrip().endswith(b"%%EOF")
    items = objects(content)
    assert sum(bool(re.search(rb"/Type /Page\b", item)) for item in items.values()) == 1
    for item in items.values():
        if b"stream\n" in item:
            stream(item)
    fonts = [item for item in items.values() if b"/Type /FontDescriptor" in item]
    assert fonts
    assert all(re.search(rb"/FontFile[23]? \d+ 0 R", font) for font in fonts)


def pdf_text(content: bytes) -> str:
    """Return the text of a page, in drawing order, without separators."""
    items = objects(content)
    (page,) = [item for item in items.values() if re.search(rb"/Type /Page\b", item)]
    letters = {}
    for name, number in re.findall(
        rb"/(\w+) (\d+) 0 R", re.search(rb"/Font <<(.*?)>>", page, re.S)[1]
    ):
        table = re.search(rb"/ToUnicode (\d+) 0 R", items[int(number)])[1]
        pairs = re.findall(rb"<([0-9A-F]{4})> <([0-9A-F]+)>", stream(items[int(table)]))
        letters[name] = {bytes.fromhex(a.decode()): bytes.fromhex(b.decode()).decode("utf-16-be")
                         for a, b in pairs if b != b"FFFF"}  # fmt: skip
    drawing = stream(items[int(re.search(rb"/Contents (\d+) 0 R", page)[1])])
    text, font = "", b""
    for name, string in re.findall(rb"/(\w+) [\d.]+ Tf|\(((?:\\.|[^\\)])*)\)", drawing, re.S):
        font = name or font
        codes = unescaped(string)
        text += "".join(letters[font].get(codes[i : i + 2], "?") for i in range(0, len(codes), 2))
    return text


def unescaped(string: bytes) -> bytes:
    names = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}
    return re.sub(
        rb"\\([0-7]{1,3}|.)",
        lambda m: bytes([int(m[1], 8)]) if m[1].isdigit() else names.get(m[1], m[1]),
        string,
        flags=re.DOTALL,
    )
