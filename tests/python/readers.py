"""Says how readers that are not ours take files.

    readers.py FOLDER     for each file beneath FOLDER, by its suffix, what each reader of that format makes of it

A reader `takes` a file, takes it and `warns`, or `refuses` it. The answer is JSON: by file, by reader.
"""

import csv
import json
import logging
import os
import sys
import warnings
from pathlib import Path

# The XML parser of Python, whether or not lxml is there.
os.environ["OPENPYXL_LXML"] = "False"

import openpyxl
import pikepdf
import pypdf


def strict_csv(path):
    """Python's csv, as RFC 4180 has it: text behind a closing quote and a quote that is not closed are errors."""
    with open(path, newline="", encoding="utf-8") as file:
        widths = {len(record) for record in csv.reader(file, strict=True) if record}
    if len(widths) > 1:
        raise ValueError("records of unequal width")


def by_openpyxl(path):
    with open(path, "rb") as file:
        book = openpyxl.load_workbook(file)
    for sheet in book.worksheets:
        for row in sheet.iter_rows(values_only=True):
            list(row)


def by_qpdf(path):
    """qpdf's own check, which reads every object and inflates every stream."""
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


READERS = {
    ".csv": {"csv": strict_csv},
    ".xlsx": {"openpyxl": by_openpyxl},
    ".pdf": {"qpdf": by_qpdf, "pypdf": by_pypdf},
}


class Loud(logging.Handler):
    """Has what a reader logs count as a warning."""

    def emit(self, record):
        warnings.warn(record.getMessage())


logging.getLogger("pypdf").addHandler(Loud())
logging.getLogger("pypdf").propagate = False


def taken(read, path):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            read(path)
        except Exception:
            return "refuses"
    return "warns" if caught else "takes"


said = {}
for path in sorted(Path(sys.argv[1]).rglob("*")):
    readers = READERS.get(path.suffix, {})
    if path.is_file() and readers:
        said[path.name] = {name: taken(read, path) for name, read in readers.items()}
json.dump(said, sys.stdout)
