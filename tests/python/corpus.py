"""Writes outputs with writers that are not ours, in every format, and describes each of them.

    corpus.py FOLDER [--seeds]     expected.json and the files that it names; with --seeds only the small ones

`expected.json` is a list: the file under FOLDER, its format, and its rows (`rows`), columns (`columns`, if the format
has any) or pages (`pages`), as the writer was given them. Two runs of the same versions differ only in times.
"""

import csv
import datetime
import decimal
import gzip
import io
import json
import math
import sys
import warnings
import zipfile
import zlib
from pathlib import Path

import duckdb
import openpyxl
import pandas
import pikepdf
import polars
import pyarrow
import pyarrow.csv
import pyarrow.orc
import pypdf
import xlsxwriter
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4, landscape
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.pdfgen import canvas
from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate, Table, TableStyle

warnings.simplefilter("ignore")

FOLDER = Path(sys.argv[1])
SEEDS = "--seeds" in sys.argv[2:]
# The largest committed file of each format, in KiB. Fuzzing starts from these, and small files run fast.
SMALL = {"CSV": 8, "JSONL": 4, "JSONL_GZIP": 1, "ORC": 4, "PDF": 4, "EXCEL": 7}
expected = []
COUNT = 16 if SEEDS else 40
TIME = datetime.datetime(2026, 11, 1, 5, 0, 7, 123456)
ODD = [
    "plain",
    "",
    "with, comma",
    'with "quotes"',
    "two\nlines",
    "CR\r\nLF",
    " spaces ",
    "Zoë Ångström",
    "日本語 🦀 \u200b",
    "semi;colon | bar\ttab",
    "'single'",
    "\\ backslash \\n",
    "-1e5",
    "00123",
    "NULL",
    "long " * 300,
]
NAMES = ["id", "name", "score", "member", "city, country", "größe"]


def rows(count=COUNT):
    """Rows of `NAMES` with all kinds of odd values."""
    for number in range(count):
        name = ODD[number % len(ODD)]
        yield [number, name, number / 3, number % 2 == 0, None if number % 5 == 0 else f"city {number}", number * 10**12]


def frame():
    return {name: [row[index] for row in rows()] for index, name in enumerate(NAMES)}


def write(name, format, content, **holds):
    """Writes a file and records what it holds."""
    content = content.encode() if isinstance(content, str) else bytes(content)
    if SEEDS and len(content) > SMALL[format] * 1024:
        return
    path = FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    expected.append({"file": name, "format": format, **holds})


def by_path(save, suffix):
    """The output of a writer that needs a path."""
    path = FOLDER / f"scratch{suffix}"
    path.unlink(missing_ok=True)
    save(str(path))
    content = path.read_bytes()
    path.unlink()
    return content


def csvs():
    def keep(name, content, rows=COUNT, columns=NAMES):
        write(f"csv/{name}.csv", "CSV", content, rows=rows, columns=columns)

    quoting = {"minimal": csv.QUOTE_MINIMAL, "all": csv.QUOTE_ALL, "nonnumeric": csv.QUOTE_NONNUMERIC}
    for name, style in quoting.items():
        for end, text in {"crlf": "\r\n", "lf": "\n", "cr": "\r"}.items():
            buffer = io.StringIO(newline="")
            writer = csv.writer(buffer, quoting=style, lineterminator=text)
            writer.writerow(NAMES)
            # If records end with CR alone, older Pythons leave LF in an unquoted value, which is not RFC 4180.
            bare = name == "minimal" and end == "cr"
            values = [row for row in rows() if not (bare and "\n" in row[1])]
            writer.writerows(values)
            keep(f"python-{name}-{end}", buffer.getvalue(), len(values))
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(NAMES)
    writer.writerows(rows(16))
    keep("python-bom", "\ufeff" + buffer.getvalue(), 16)
    keep("python-no-last-line-break", buffer.getvalue().rstrip(), 16)
    keep("python-one-column", "name\r\n" + "".join(f"n{n}\r\n" for n in range(9)), 9, ["name"])
    keep("python-one-column-quoted-empty", 'name\n""\n"a"\n""\n', 3, ["name"])
    keep("python-wide", ",".join(f"c{n}" for n in range(600)) + "\n" + ",".join(["1"] * 600) + "\n", 1, [f"c{n}" for n in range(600)])
    keep("python-empty-values", "a,b,c\n,,\n,,\n", 2, ["a", "b", "c"])
    keep("python-long-value", f'a,b\n1,"{"x" * 100_000}"\n2,{"y" * 100_000}\n', 2, ["a", "b"])
    keep("python-header-only", "a,b\r\n", 0, ["a", "b"])
    keep("python-same-names", "a,a,\n1,2,3\n", 1, ["a", "a", ""])
    keep("python-blank-last-lines", "a,b\n1,2\n\n\n", 1, ["a", "b"])
    keep("python-blank-lines", "a,b\n\n1,2\n\n3,4\n", 2, ["a", "b"])
    keep("python-other-delimiters-in-values", 'a,b\n"1;2;3","x|y"\n"4;5;6","z|w"\n', 2, ["a", "b"])
    keep("python-values-like-names", "id,name\n1,id\n2,name\n", 2, ["id", "name"])
    keep("python-one-column-with-semicolons", '"note"\n"a;b"\n"c;d"\n', 2, ["note"])

    table = pyarrow.table(frame())
    for style in ["needed", "all_valid"]:
        for header in [True]:
            sink = io.BytesIO()
            options = pyarrow.csv.WriteOptions(include_header=header, quoting_style=style)
            pyarrow.csv.write_csv(table, sink, options)
            keep(f"pyarrow-{style}", sink.getvalue())
    plain = pyarrow.table({"a": [1, 2], "b": ["x", "y"], "t": [TIME, None], "d": [decimal.Decimal("1.50"), None]})
    sink = io.BytesIO()
    pyarrow.csv.write_csv(plain, sink, pyarrow.csv.WriteOptions(quoting_style="none", quoting_header="none"))
    keep("pyarrow-none", sink.getvalue(), 2, ["a", "b", "t", "d"])

    data = polars.DataFrame(frame())
    for style in ["necessary", "always", "non_numeric"]:
        keep(f"polars-{style}", data.write_csv(quote_style=style))
    keep("polars-crlf", data.write_csv(line_terminator="\r\n"))
    keep("polars-bom", data.write_csv(include_bom=True))
    keep("polars-null-marker", data.write_csv(null_value="\\N"))
    times = polars.DataFrame({"at": [TIME, None], "x": [math.nan, math.inf]})
    keep("polars-times", times.write_csv(datetime_format="%Y-%m-%dT%H:%M:%S%.6f"), 2, ["at", "x"])

    pandas_frame = pandas.DataFrame(frame())
    keep("pandas", pandas_frame.to_csv(index=False))
    keep("pandas-index", pandas_frame.to_csv(), columns=["", *NAMES])
    keep("pandas-na-rep", pandas_frame.to_csv(index=False, na_rep="NA", float_format="%.3f", lineterminator="\r\n"))
    keep("pandas-quote-all", pandas_frame.to_csv(index=False, quoting=csv.QUOTE_ALL))
    keep("pandas-bom", pandas_frame.to_csv(index=False).encode("utf-8-sig"))
    keep("pandas-no-rows", pandas_frame.head(0).to_csv(index=False), 0)

    for name, options in {
        "default": "HEADER",
        "force-quote": "HEADER, FORCE_QUOTE *",
        "null-marker": "HEADER, NULL '\\N'",
        "dates": "HEADER, TIMESTAMPFORMAT '%x %X'",
    }.items():
        content = by_path(
            lambda path: duckdb.from_arrow(table).query("t", f"COPY t TO '{path}' (FORMAT csv, {options})"), ".csv"
        )
        keep(f"duckdb-{name}", content)


def nested():
    """Objects with the depth and oddities that JSON lines may have."""
    for number in range(20):
        yield {
            "id": number,
            "name": ODD[number % len(ODD)],
            "größe": number / 7,
            "none": None,
            "flags": [True, False, None],
            "address": {"city": f"city {number}", "geo": {"lat": -1.5e-7, "lon": 1e300}},
            "tags": [{"a": [[1], [2, [3]]]}, {}, []],
            "key \"quoted\" \\ \u2028": "\u0000\u001f\u007f🦀" if number == 3 else "",
        }


def jsonl_texts():
    """Each text of JSON lines, with its rows and columns."""
    values = list(nested())
    columns = list(values[0])

    def dumped(**options):
        return "".join(json.dumps(value, **options) + "\n" for value in values)

    yield "python-ascii", dumped(), 20, columns
    yield "python-unicode", dumped(ensure_ascii=False), 20, columns
    yield "python-compact", dumped(separators=(",", ":")), 20, columns
    yield "python-sorted", dumped(sort_keys=True), 20, sorted(columns)
    yield "python-crlf", dumped().replace("\n", "\r\n"), 20, columns
    yield "python-bom", "\ufeff" + dumped(), 20, columns
    yield "python-no-last-line-break", dumped()[:-1], 20, columns
    yield "python-blank-last-lines", dumped() + "\n\n", 20, columns
    yield "python-spaces", "".join(f"  {json.dumps(value)} \t\n" for value in values), 20, columns
    yield "python-different-keys", '{"a":1}\n{"b":{}}\n{}\n{"a":[],"c":null}\n', 4, ["a"]
    yield "python-same-key-twice", '{"a":1,"a":2}\n', 1, ["a", "a"]
    yield "python-big-numbers", '{"n":123456789012345678901234567890,"x":1E+400,"y":-0.0e-999}\n', 1, ["n", "x", "y"]
    yield "python-long-line", json.dumps({"a": "x" * 300_000, "b": list(range(20_000))}) + "\n", 1, ["a", "b"]
    yield "python-deep", '{"a":' * 300 + "1" + "}" * 300 + "\n", 1, ["a"]
    yield "python-lone-surrogate-escapes", '{"a":"\\ud83e"}\n{"a":"\\udd80 x"}\n', 2, ["a"]
    yield "python-empty-objects", "{}\n{}\n", 2, []
    data = polars.DataFrame(frame())
    yield "polars", data.write_ndjson(), COUNT, NAMES
    deep = polars.DataFrame({"id": [1, 2], "s": [{"a": [1, None]}, None], "t": [TIME, None]})
    yield "polars-nested", deep.write_ndjson(), 2, ["id", "s", "t"]
    pandas_frame = pandas.DataFrame(frame())
    yield "pandas", pandas_frame.to_json(orient="records", lines=True), COUNT, NAMES
    yield "pandas-unicode", pandas_frame.to_json(orient="records", lines=True, force_ascii=False), COUNT, NAMES
    yield "pandas-iso", pandas.DataFrame({"t": [TIME] * 3}).to_json(
        orient="records", lines=True, date_format="iso"
    ), 3, ["t"]
    table = pyarrow.table(frame())
    content = by_path(lambda path: duckdb.from_arrow(table).query("t", f"COPY t TO '{path}' (FORMAT json)"), ".json")
    yield "duckdb", content, COUNT, NAMES
    query = "SELECT i AS id, {'a': [i, NULL], 'b': MAP {'k': i}} AS s, NULL AS n FROM range(5) r(i)"
    content = by_path(lambda path: duckdb.sql(f"COPY ({query}) TO '{path}' (FORMAT json)"), ".json")
    yield "duckdb-nested", content, 5, ["id", "s", "n"]


def jsonls():
    for name, text, count, columns in jsonl_texts():
        content = text.encode() if isinstance(text, str) else bytes(text)
        write(f"jsonl/{name}.jsonl", "JSONL", content, rows=count, columns=columns)
        for level in [0, 1, 9]:
            packed = gzip.compress(content, compresslevel=level, mtime=0)
            write(f"jsonl_gzip/{name}-{level}.json.gz", "JSONL_GZIP", packed, rows=count, columns=columns)
        # Members that end anywhere, as in a file to which parts were appended.
        parts = [content[start : start + 700] for start in range(0, len(content), 700)]
        packed = b"".join(gzip.compress(part, mtime=0) for part in parts[:200]) + gzip.compress(
            b"".join(parts[200:]), mtime=0
        )
        write(f"jsonl_gzip/{name}-members.json.gz", "JSONL_GZIP", packed, rows=count, columns=columns)

    def keep(name, content, rows=2):
        write(f"jsonl_gzip/{name}.json.gz", "JSONL_GZIP", content, rows=rows, columns=["a"])

    text = b'{"a":1}\n{"a":2}\n'
    buffer = io.BytesIO()
    with gzip.GzipFile("a name.json", "wb", fileobj=buffer, mtime=1_700_000_000) as file:
        file.write(text)
    keep("python-name-and-time", buffer.getvalue())
    keep("python-empty-members", gzip.compress(b"", mtime=0) + gzip.compress(text, mtime=0) + gzip.compress(b"", mtime=0))
    keep("python-zero-padding", gzip.compress(text, mtime=0) + bytes(512))
    for name, strategy in {"fixed": zlib.Z_FIXED, "huffman": zlib.Z_HUFFMAN_ONLY, "rle": zlib.Z_RLE}.items():
        packer = zlib.compressobj(9, zlib.DEFLATED, 31, 9, strategy)
        keep(f"zlib-{name}", packer.compress(text) + packer.flush())
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    flushed = packer.compress(text[:5]) + packer.flush(zlib.Z_SYNC_FLUSH) + packer.flush(zlib.Z_FULL_FLUSH)
    keep("zlib-flushed", flushed + packer.compress(text[5:]) + packer.flush())
    # The header's own checksum and fields, as in RFC 1952: text, extra, name, comment.
    fields = b"\x1f\x8b\x08\x1f\x00\x00\x00\x00\x00\xff" + b"\x06\x00AP\x02\x00xy" + b"name\x00" + b"comment\x00"
    fields += (zlib.crc32(fields) & 0xFFFF).to_bytes(2, "little")
    keep("rfc1952-all-fields", fields + gzip.compress(text, mtime=0)[10:])
    data = pandas.DataFrame({"a": [1, 2]})
    sink = io.BytesIO()
    data.to_json(sink, orient="records", lines=True, compression={"method": "gzip", "mtime": 0})
    keep("pandas", sink.getvalue())
    content = by_path(
        lambda path: duckdb.sql(f"COPY (SELECT unnest([1, 2]) AS a) TO '{path}' (FORMAT json, COMPRESSION gzip)"), ".gz"
    )
    keep("duckdb", content)
    with pyarrow.BufferOutputStream() as sink:
        with pyarrow.CompressedOutputStream(sink, "gzip") as packed:
            packed.write(text)
        keep("pyarrow", sink.getvalue())


def orcs():
    def keep(name, table, **options):
        sink = io.BytesIO()
        pyarrow.orc.write_table(table, sink, **options)
        write(f"orc/{name}.orc", "ORC", sink.getvalue(), rows=table.num_rows, columns=table.column_names)

    table = pyarrow.table(frame())
    long = pyarrow.table({"id": list(range(30_000)), "s": [f"value {n % 97} {n}" for n in range(30_000)]})
    for kind in ["uncompressed", "zlib", "snappy", "lz4", "zstd"]:
        keep(f"pyarrow-{kind}", table, compression=kind)
        keep(f"pyarrow-{kind}-large-blocks", long, compression=kind, compression_block_size=1 << 17)
        keep(f"pyarrow-{kind}-few", table.slice(0, 3), compression=kind)
        keep(f"pyarrow-{kind}-compressing", table, compression=kind, compression_strategy="compression")
    keep("pyarrow-many-stripes", long, stripe_size=1 << 16, compression="zlib")
    keep("pyarrow-version-0.11", table, file_version="0.11")
    keep("pyarrow-version-0.11-long", long, file_version="0.11", compression="zlib")
    keep("pyarrow-dictionary", long, dictionary_key_size_threshold=1.0)
    keep("pyarrow-short-index", long, row_index_stride=1_000)
    keep("pyarrow-bloom", table, bloom_filter_columns=[0, 1])
    keep("pyarrow-no-rows", table.slice(0, 0))
    types = {
        "bool": pyarrow.array([True, None, False]),
        "int8": pyarrow.array([-128, None, 127], pyarrow.int8()),
        "int16": pyarrow.array([-1, None, 1], pyarrow.int16()),
        "int32": pyarrow.array([-(2**31), None, 2**31 - 1], pyarrow.int32()),
        "int64": pyarrow.array([-(2**63), None, 2**63 - 1], pyarrow.int64()),
        "float": pyarrow.array([1.5, None, math.nan], pyarrow.float32()),
        "double": pyarrow.array([-0.0, None, math.inf], pyarrow.float64()),
        "string": pyarrow.array(["", None, "日本語 🦀"]),
        "binary": pyarrow.array([b"\x00\xff", None, b""]),
        "date": pyarrow.array([datetime.date(1, 1, 1), None, datetime.date(9999, 12, 31)]),
        "timestamp": pyarrow.array([TIME, None, datetime.datetime(1950, 1, 1)]),
        "instant": pyarrow.array([TIME, None, TIME], pyarrow.timestamp("ns", "UTC")),
        "decimal": pyarrow.array([decimal.Decimal("-1.50"), None, decimal.Decimal("12345.67")], pyarrow.decimal128(20, 2)),
        "list": pyarrow.array([[1, None], None, []], pyarrow.list_(pyarrow.int64())),
        "struct": pyarrow.array([{"a": 1, "b": "x"}, None, {"a": None, "b": None}]),
        "map": pyarrow.array([[("k", 1)], None, []], pyarrow.map_(pyarrow.string(), pyarrow.int64())),
        "deep": pyarrow.array([[{"a": [[1], []], "m": [("k", ["x"])]}], None, []], pyarrow.list_(pyarrow.struct([
            ("a", pyarrow.list_(pyarrow.list_(pyarrow.int32()))),
            ("m", pyarrow.map_(pyarrow.string(), pyarrow.list_(pyarrow.string()))),
        ]))),
        "all-null": pyarrow.array([None, None, None], pyarrow.string()),
    }
    for name, array in types.items():
        keep(f"pyarrow-type-{name}", pyarrow.table({name: array}))
    keep("pyarrow-all-types", pyarrow.table(types), compression="zlib")
    days = [datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 31, 23, 59, 59, 999999), TIME]
    keep("pyarrow-far-times", pyarrow.table({"at": days}))
    before = [datetime.datetime(1969, 12, 31, 23, 59, 58, 500000), TIME]
    keep("pyarrow-before-1970-with-fraction", pyarrow.table({"at": before}))
    wide = pyarrow.table({f"c{n}": [n] for n in range(300)})
    keep("pyarrow-wide", wide, compression="zlib")
    runs = pyarrow.table({
        "same": [7] * 5_000,
        "step": list(range(0, 15_000, 3)),
        "jumps": [(n * 2654435761) % 2**40 - 2**39 for n in range(5_000)],
        "patched": [n % 10 if n % 100 else 2**40 for n in range(5_000)],
    })
    for version in ["0.11", "0.12"]:
        keep(f"pyarrow-runs-{version}", runs, file_version=version, compression="zlib")
    sink = io.BytesIO()
    pandas.DataFrame(frame()).to_orc(sink)
    write("orc/pandas.orc", "ORC", sink.getvalue(), rows=COUNT, columns=NAMES)


def pdfs():
    def drawn(name, pages=3, size=A4, draw=lambda page, number: None, **options):
        sink = io.BytesIO()
        page = canvas.Canvas(sink, pagesize=size, invariant=1, **options)
        for number in range(pages):
            page.drawString(72, 720, f"Page {number}: Zoë (1) \\ )")
            draw(page, number)
            page.showPage()
        page.save()
        write(f"pdf/{name}.pdf", "PDF", sink.getvalue(), pages=pages)

    for name, packed in {"plain": 0, "compressed": 1}.items():
        drawn(f"reportlab-{name}", pageCompression=packed)
        drawn(f"reportlab-{name}-landscape", 1, landscape(A4), pageCompression=packed)
    drawn("reportlab-many-pages", 120, pageCompression=1)

    def forms(page, number):
        page.bookmarkPage(f"p{number}")
        page.addOutlineEntry(f"Page {number}", f"p{number}")
        page.linkURL("https://example.com", (72, 700, 200, 730))
        page.acroForm.textfield(name=f"f{number}", x=72, y=600, width=100, height=20)
        page.setFillColor(colors.red)
        page.rect(100, 100, 200, 200, fill=1)

    drawn("reportlab-forms-and-links", 2, draw=forms, pageCompression=1)

    for name, count in {"table": 200, "short-table": 5}.items():
        sink = io.BytesIO()
        document = SimpleDocTemplate(sink, pagesize=A4, invariant=1)
        cells = [["Id", "Name", "Note"], *([str(n), f"name {n}", "x" * (n % 30)] for n in range(count))]
        table = Table(cells, repeatRows=1)
        table.setStyle(TableStyle([("GRID", (0, 0), (-1, -1), 0.25, colors.black)]))
        document.build([Paragraph("A report", getSampleStyleSheet()["Heading1"]), table, PageBreak(), Paragraph("End", getSampleStyleSheet()["Normal"])])
        write(f"pdf/reportlab-{name}.pdf", "PDF", sink.getvalue(), pages=document.page)
    # A document that is encrypted without a password to open it can be read by everyone.
    drawn("reportlab-owner-password", encrypt=StandardEncryption("", "owner", strength=128))

    sink = io.BytesIO()
    page = canvas.Canvas(sink, pagesize=A4, invariant=1)
    for number in range(5):
        page.drawString(72, 720, f"Page {number}")
        page.showPage()
    page.save()

    def qpdf(name, **options):
        saved = io.BytesIO()
        with pikepdf.open(io.BytesIO(sink.getvalue())) as document:
            document.save(saved, deterministic_id="encryption" not in options, **options)
        write(f"pdf/{name}.pdf", "PDF", saved.getvalue(), pages=5)

    packed = {"object_stream_mode": pikepdf.ObjectStreamMode.generate}
    qpdf("qpdf")
    qpdf("qpdf-linearized", linearize=True)
    qpdf("qpdf-object-streams", **packed)
    qpdf("qpdf-linearized-object-streams", linearize=True, **packed)
    qpdf("qpdf-qdf", qdf=True)
    for revision in [4, 6]:
        encryption = pikepdf.Encryption(owner="owner", user="", R=revision)
        qpdf(f"qpdf-encrypted-{revision}", encryption=encryption)
        qpdf(f"qpdf-encrypted-{revision}-object-streams", encryption=encryption, **packed)
    saved = io.BytesIO()
    writer = pypdf.PdfWriter(io.BytesIO(sink.getvalue()), incremental=True)
    writer.pages[0].rotate(90)
    writer.add_blank_page(100, 100)
    writer.write(saved)
    write("pdf/pypdf-update.pdf", "PDF", saved.getvalue(), pages=6)


def workbooks():
    def keep(name, content, rows):
        write(f"excel/{name}.xlsx", "EXCEL", content, rows=rows)

    def openpyxl_book(fill, **options):
        book = openpyxl.Workbook(**options)
        fill(book)
        sink = io.BytesIO()
        book.save(sink)
        return sink.getvalue()

    def plain(book):
        sheet = book.active or book.create_sheet()
        sheet.append(NAMES)
        for row in rows():
            sheet.append(row)

    keep("openpyxl", openpyxl_book(plain), COUNT + 1)
    keep("openpyxl-write-only", openpyxl_book(plain, write_only=True), COUNT + 1)

    def sheets(book):
        book.active.append(["a", 1, TIME, datetime.date(2026, 1, 1), True, None, 1.5])
        second = book.create_sheet("B & <C> 日本")
        second["C3"] = "=SUM(A1:A2)"
        second["C3"].font = openpyxl.styles.Font(bold=True)
        second.merge_cells("A5:B6")
        second["A5"] = "merged"
        second.row_dimensions[30].height = 40
        second["Z100"].comment = openpyxl.comments.Comment("a comment", "somebody")
        second["Z100"] = "far away"
        book.create_sheet("empty")
        hidden = book.create_sheet("hidden")
        hidden.sheet_state = "hidden"
        hidden.append([1])
        book.defined_names["everything"] = openpyxl.workbook.defined_name.DefinedName("everything", attr_text="Sheet!$A$1")
        chart = openpyxl.chart.BarChart()
        chart.add_data(openpyxl.chart.Reference(book.active, min_col=2, min_row=1, max_row=1))
        book.active.add_chart(chart, "E5")

    # In the second sheet, rows 3, 5 and 100 have a value.
    keep("openpyxl-sheets", openpyxl_book(sheets), 1 + 3 + 1)

    def styled(book):
        plain(book)
        for row in range(100, 120):
            book.active.cell(row, 2).font = openpyxl.styles.Font(bold=True)

    keep("openpyxl-rows-of-styles", openpyxl_book(styled), COUNT + 1)

    def repacked(change):
        """The same workbook, with its parts renamed and written in another way."""
        packed = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(openpyxl_book(plain))) as old:
            with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
                for name in old.namelist():
                    new.writestr(*change(name, old.read(name).decode()))
        return packed.getvalue()

    def declared(text, encoding):
        text = text.split("?>", 1)[-1] if text.startswith("<?xml") else text
        return f'<?xml version="1.0" encoding="{encoding}"?>{text}'

    sheet = "sheet1.xml"
    keep("utf-16", repacked(lambda name, text: (name, declared(text, "UTF-16").encode("utf-16"))), COUNT + 1)
    keep("other-case", repacked(lambda name, text: (name.replace(sheet, "Sheet1.XML"), text)), COUNT + 1)
    for kind, (part, target) in {
        "entity": ("R&D 1.xml", "R&amp;D 1.xml"),
        "percent": ("R&D 1.xml", "R%26D%201.xml"),
    }.items():
        keep(f"escaped-target-{kind}", repacked(lambda name, text: (name.replace(sheet, part), text.replace(sheet, target))), COUNT + 1)

    def xlsxwriter_book(fill, **options):
        sink = io.BytesIO()
        book = xlsxwriter.Workbook(sink, {"in_memory": True, **options})
        book.set_properties({"created": TIME})
        fill(book)
        book.close()
        return sink.getvalue()

    def written(book):
        sheet = book.add_worksheet("Data")
        date = book.add_format({"num_format": "yyyy-mm-dd"})
        for index, row in enumerate([NAMES, *rows()]):
            sheet.write_row(index, 0, row)
        sheet.write_datetime(COUNT + 1, 0, TIME, date)
        sheet.write_formula(COUNT + 2, 0, "=A1+1", None, 3)
        sheet.write_rich_string(COUNT + 3, 0, "a ", book.add_format({"bold": True}), "bold")
        sheet.write_url(COUNT + 4, 0, "https://example.com", string="link")

    keep("xlsxwriter", xlsxwriter_book(written), COUNT + 5)
    keep("xlsxwriter-inline-strings", xlsxwriter_book(written, constant_memory=True), COUNT + 5)
    keep("xlsxwriter-zip64", xlsxwriter_book(written, use_zip64=True), COUNT + 5)

    def several(book):
        for number in range(12):
            book.add_worksheet(f"S{number}").write_row(number, number, ["x"] * (number + 1))
        chart = book.add_chart({"type": "line"})
        chart.add_series({"values": "=S0!$A$1:$A$1"})
        book.add_chartsheet("Chart").set_chart(chart)

    keep("xlsxwriter-sheets-and-chart", xlsxwriter_book(several), 12)
    keep("xlsxwriter-empty", xlsxwriter_book(lambda book: book.add_worksheet()), 0)

    def many(book):
        sheet = book.add_worksheet()
        for number in range(5_000):
            sheet.write_row(number, 0, [number, f"text {number}"])

    keep("xlsxwriter-many-rows", xlsxwriter_book(many), 5_000)

    for engine in ["openpyxl", "xlsxwriter"]:
        sink = io.BytesIO()
        with pandas.ExcelWriter(sink, engine=engine) as writer:
            pandas.DataFrame(frame()).to_excel(writer, sheet_name="A", index=False)
            pandas.DataFrame({"t": [TIME] * 3}).to_excel(writer, sheet_name="B")
        keep(f"pandas-{engine}", sink.getvalue(), COUNT + 1 + 4)
    sink = io.BytesIO()
    polars.DataFrame(frame()).write_excel(sink)
    keep("polars", sink.getvalue(), COUNT + 1)


for part in [csvs, jsonls, orcs, pdfs, workbooks]:
    part()
(FOLDER / "expected.json").write_text("[\n" + ",\n".join(map(json.dumps, expected)) + "\n]\n")
print(f"{len(expected)} files", file=sys.stderr)
