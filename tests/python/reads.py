"""What readers that are not Landfall's make of files: a JSON list of [reader, file] comes in, a list of texts goes out."""

import csv
import gzip
import json
import sys


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
    # What is text can be written.
    json.dumps(values, ensure_ascii=False).encode("utf-8")
    return f"{len(values)} rows"


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
            case "csv", delimiter:
                return read_csv(file, delimiter=chr(int(delimiter, 16)))
            case "json", _:
                return read_json(file)
    except (csv.Error, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return f"{reader} is no reader"


print(json.dumps([read(reader, file) for reader, file in json.load(sys.stdin)]))
