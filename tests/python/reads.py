"""Reads files with readers that are not Landfall's: takes a JSON list of [reader, file], and prints a list of texts.

`csv` and `json` are Python's own, strict, and print what they read or what stops them. The text after `csv` says how to
read, or asks for the header. `orc fields` is pyarrow's. openpyxl, qpdf and pypdf say `takes`, `warns` or `refuses`.
`checksum` gives the checksum of the bytes in S3's form: Python's own for SHA-256 and CRC32, awscrt's for the others.
`rows of` says whether the file holds the same rows as the named file beside it, by Python's csv or openpyxl.
"""

import base64
import csv
import gzip
import hashlib
import json
import logging
import os
import sys
import warnings
import zlib

# Use Python's XML parser, whether or not lxml is installed.
os.environ["OPENPYXL_LXML"] = "False"

import awscrt.checksums
import openpyxl
import pikepdf
import pypdf
from pyarrow import orc


def read_csv(file, **how):
    newline = how.pop("newline", "")
    with open(file, newline=newline, encoding="utf-8-sig") as lines:
        rows = list(csv.reader(lines, strict=True, **how))
    widths = " or ".join(str(width) for width in sorted({len(row) for row in rows}))
    return f"{len(rows) - 1} rows of {widths} fields"


def read_json(file):
    opened = gzip.open if file.endswith(".gz") else open
    with opened(file, "rt", encoding="utf-8") as lines:
        values = [json.loads(line) for line in lines]
    # Text must be encodable as UTF-8.
    json.dumps(values, ensure_ascii=False).encode("utf-8")
    return f"{len(values)} rows"


def csv_header(file):
    with open(file, newline="", encoding="utf-8-sig") as lines:
        return " ".join(next(csv.reader(lines, strict=True)))


def orc_fields(file):
    return " ".join(orc.ORCFile(file).schema.names)


def checksum(algorithm, path):
    with open(path, "rb") as file:
        body = file.read()
    match algorithm:
        case "SHA-256":
            digest = hashlib.sha256(body).digest()
        case "CRC32":
            digest = zlib.crc32(body).to_bytes(4, "big")
        case "CRC32C":
            digest = awscrt.checksums.crc32c(body).to_bytes(4, "big")
        case "CRC64NVME":
            digest = awscrt.checksums.crc64nvme(body).to_bytes(8, "big")
    return base64.b64encode(digest).decode("ascii")


def rows_of(path):
    if path.endswith(".xlsx"):
        return by_openpyxl(path)
    with open(path, newline="", encoding="utf-8-sig") as lines:
        return list(csv.reader(lines, strict=True))


def by_openpyxl(path):
    with open(path, "rb") as file:
        book = openpyxl.load_workbook(file)
    return [list(sheet.iter_rows(values_only=True)) for sheet in book.worksheets]


def by_qpdf(path):
    """Runs qpdf's own check, which reads every object and inflates every stream."""
    with pikepdf.open(path) as document:
        for page in document.pages:
            page.contents_coalesce()
        for problem in document.check_pdf_syntax():
            warnings.warn(str(problem))
        for problem in document.get_warnings():
            warnings.warn(str(problem))


def by_pypdf(path):
    document = pypdf.PdfReader(path, strict=True)
    for page in document.pages:
        content = page.get_contents()
        if content is None and "/Contents" in page:
            raise ValueError("the content of a page is not there")
        if content is not None:
            content.get_data()


class Loud(logging.Handler):
    """Turns a reader's log messages into warnings."""

    def emit(self, record):
        warnings.warn(record.getMessage())


logging.getLogger("pypdf").addHandler(Loud())
logging.getLogger("pypdf").propagate = False


def taken(by, file):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            by(file)
        # Each reader has its own errors, and raises others for broken files, too.
        except Exception:
            return "refuses"
    return "warns" if caught else "takes"


def read(reader, file):
    kind, _, how = reader.partition(" ")
    try:
        match kind, how:
            case "csv", "":
                return read_csv(file)
            case "csv", "escaped":
                return read_csv(file, doublequote=False, escapechar="\\")
            case "csv", "lines of LF":
                return read_csv(file, newline="\n")
            case "csv", "header":
                return csv_header(file)
            case "csv", delimiter:
                return read_csv(file, delimiter=chr(int(delimiter, 16)))
            case "checksum", algorithm:
                return checksum(algorithm, file)
            case "rows", other:
                beside = os.path.join(os.path.dirname(file), other.removeprefix("of "))
                return "the same rows" if rows_of(file) == rows_of(beside) else "other rows"
            case "json", _:
                return read_json(file)
            case "orc", "fields":
                return orc_fields(file)
            case "openpyxl", _:
                return taken(by_openpyxl, file)
            case "qpdf", _:
                return taken(by_qpdf, file)
            case "pypdf", _:
                return taken(by_pypdf, file)
    except (csv.Error, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return f"{reader} is no reader"


print(json.dumps([read(reader, file) for reader, file in json.load(sys.stdin)]))
