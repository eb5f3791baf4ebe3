"""Writes the CSV on stdin to the named ORC file: zlib, stripes of 64 MiB, which is pyarrow's default."""

import sys

import pyarrow as pa
import pyarrow.csv
import pyarrow.orc

TYPES = {
    "BirthDate": pa.date32(),
    "OptIn": pa.bool_(),
    "Orders": pa.int64(),
    "LifetimeValue": pa.float64(),
    "ChurnScore": pa.float64(),
    "LastOrderAt": pa.timestamp("ns", "UTC"),
    "CreatedAt": pa.timestamp("ns", "UTC"),
}




def main():
    with open(0, "rb") as source:
        header = source.readline().decode().strip().split(",")
        batches = pyarrow.csv.open_csv(
            source,
            read_options=pyarrow.csv.ReadOptions(column_names=header, block_size=4 << 20),
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types={name: TYPES.get(name, pa.string()) for name in header},
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
        with pyarrow.orc.ORCWriter(sys.argv[1], compression="zlib", stripe_size=64 << 20) as writer:
            for batch in batches:
                writer.write(pa.Table.from_batches([batch]))


main()
