"""Makes the ORC files of this folder, and expected.json with what pyarrow reads in each.

Python 3.11, pyarrow 26.0.1, numpy 2.4.6:  python make.py
"""

import datetime
import decimal
import json
import pathlib

import numpy as np
import pyarrow as pa
from pyarrow import orc

HERE = pathlib.Path(__file__).parent
RANDOM = np.random.default_rng(20261101)
COMPRESSIONS = ["uncompressed", "zlib", "snappy", "lz4", "zstd"]


def some(values, share=0.2):
    """The values, with some nulls."""
    return [None if RANDOM.random() < share else value for value in values]


def plain(rows):
    """Every type that is not nested."""
    day = datetime.date(1969, 12, 30)
    instant = datetime.datetime(1969, 12, 31, 23, 59, 58, 999_000)
    columns = {}
    for bits in (8, 16, 32, 64):
        top = 2 ** (bits - 1) - 1
        numbers = [-top - 1, top, 0, -1, 1] + [int(n) for n in RANDOM.integers(-top, top, rows)]
        columns[f"int{bits}"] = pa.array(some(numbers[:rows]), getattr(pa, f"int{bits}")())
    columns["sorted"] = pa.array(np.cumsum(RANDOM.integers(0, 9, rows)), pa.int64())
    columns["constant"] = pa.array([7] * rows, pa.int32())
    # Mostly small and rarely large values, for which the writer uses the patched encoding.
    skewed = RANDOM.integers(0, 100, rows) + (RANDOM.random(rows) < 0.03) * 2**41
    columns["skewed"] = pa.array(skewed, pa.int64())
    columns["float"] = pa.array(some(RANDOM.random(rows)), pa.float32())
    columns["double"] = pa.array(some([float("nan"), float("-inf")] + list(RANDOM.random(rows)))[:rows], pa.float64())
    columns["bool"] = pa.array(some(RANDOM.random(rows) < 0.5), pa.bool_())
    columns["text"] = pa.array(some(["", "Zoë", "日本語", "a" * 40][n % 4] + str(n) for n in range(rows)), pa.string())
    columns["empty"] = pa.array([""] * rows, pa.string())
    columns["word"] = pa.array(some(["red", "green", "blüe"][n] for n in RANDOM.integers(0, 3, rows)), pa.string())
    columns["bytes"] = pa.array(some(bytes([0, 255, n % 256]) for n in range(rows)), pa.binary())
    columns["date"] = pa.array(some(day + datetime.timedelta(days=n) for n in range(rows)), pa.date32())
    instants = [instant + datetime.timedelta(seconds=977 * n, milliseconds=n) for n in range(rows)]
    columns["timestamp"] = pa.array(some(instants), pa.timestamp("ns"))
    columns["instant"] = pa.array(some(instants), pa.timestamp("us", tz="Europe/Berlin"))
    for digits, scale in ((9, 2), (18, 6), (38, 10)):
        numbers = [decimal.Decimal(int(n) * (-1) ** n).scaleb(-scale) for n in range(rows)]
        numbers[0] = decimal.Decimal(10**digits - 1).scaleb(-scale, decimal.Context(prec=60))
        columns[f"decimal{digits}"] = pa.array(some(numbers), pa.decimal128(digits, scale))
    columns["nothing"] = pa.array([None] * rows, pa.string())
    columns["nothing_int"] = pa.array([None] * rows, pa.int64())
    return pa.table(columns)


def nested(rows):
    """Nested structs, lists and maps, with nulls at every level."""
    point = pa.struct([("x", pa.int32()), ("y", pa.string())])
    points = [{"x": n, "y": None if n % 3 else f"ö{n}"} for n in range(rows)]
    lists = [[None if i % 4 == 1 else i for i in range(n % 5)] for n in range(rows)]
    maps = [[(f"k{i}", None if i == 2 else i * 1.5) for i in range(n % 4)] for n in range(rows)]
    deep = pa.list_(pa.struct([("tags", pa.map_(pa.string(), pa.list_(pa.int16()))), ("at", pa.timestamp("ns"))]))
    deeps = [
        [{"tags": [("a", [1, None, n % 100]), ("b", None)], "at": None if i else 10**18 + n} for i in range(n % 3)]
        for n in range(rows)
    ]
    return pa.table(
        {
            "id": pa.array(range(rows), pa.int64()),
            "point": pa.array(some(points), point),
            "list": pa.array(some(lists), pa.list_(pa.int64())),
            "map": pa.array(some(maps), pa.map_(pa.string(), pa.float64())),
            "deep": pa.array(some(deeps), deep),
            "empty_lists": pa.array([[] for _ in range(rows)], pa.list_(pa.string())),
            "null_structs": pa.array([None] * rows, point),
        }
    )


def unions(rows):
    """A union of three types."""
    tags = pa.array([n % 3 for n in range(rows)], pa.int8())
    offsets = pa.array([n // 3 for n in range(rows)], pa.int32())
    third = (rows + 2) // 3
    children = [
        pa.array(some(range(third)), pa.int32()),
        pa.array([f"text {n}" for n in range(third)], pa.string()),
        pa.array([[n] * (n % 3) for n in range(third)], pa.list_(pa.int8())),
    ]
    return pa.table({"either": pa.UnionArray.from_dense(tags, offsets, children), "id": pa.array(range(rows))})


def main():
    expected = {}

    def write(name, table, **options):
        path = HERE / f"{name}.orc"
        orc.write_table(table, path, **options)
        file = orc.ORCFile(path)
        assert file.read().num_rows == table.num_rows
        expected[path.name] = {
            "rows": file.nrows,
            "columns": file.schema.names,
            "stripes": file.nstripes,
            "stripe_rows": [file.read_stripe(n).num_rows for n in range(file.nstripes)],
        }

    for compression in COMPRESSIONS:
        write(f"plain-{compression}", plain(150), compression=compression)
        write(f"nested-{compression}", nested(90), compression=compression)
    write("union", unions(100), compression="zstd")
    write("version-0.11", plain(150), compression="zlib", file_version="0.11")
    write("nested-0.11", nested(90), compression="zlib", file_version="0.11")
    write("dictionary", plain(300), compression="zlib", dictionary_key_size_threshold=1.0)
    write("dictionary-0.11", plain(120), file_version="0.11", dictionary_key_size_threshold=1.0, compression="zlib")
    write("bloom", plain(150), compression="zlib", bloom_filter_columns=[0, 10], row_index_stride=50)
    texts = pa.table({"text": ["Zoë und Jürgen " * (n % 5) for n in range(12_000)]})
    write("many-blocks", texts, compression="zlib", compression_block_size=65_536)
    write("no-rows", plain(90).slice(0, 0), compression="zlib")
    write("no-nested-rows", nested(90).slice(0, 0), compression="uncompressed")
    words = pa.table({"id": pa.array(range(3_000), pa.int64()), "name": [f"Zoë {n % 1000}" for n in range(3_000)]})
    write("stripes", words, compression="uncompressed", stripe_size=1, batch_size=500)

    text = json.dumps(expected, indent=1, ensure_ascii=False)
    (HERE / "expected.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
