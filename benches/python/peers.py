"""Runs one peer over one format once: counts rows after parsing every value, and measures the time.

What must stay true: timing begins when the peer is imported and its client is built, and ends with the count. Each peer
uses its fastest way that parses every value; no peer reads only footers. Prints one line of JSON: rows, seconds, and
seconds of processor time, or why the peer cannot read the format.
"""

import argparse
import json
import sys
import time


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("format", choices=["csv", "jsonl", "jsonl-gzip", "orc"])
    parser.add_argument("--endpoint", required=True, help="host:port of the S3 server")
    parser.add_argument("--access-key", required=True)
    parser.add_argument("--secret-key", required=True)
    parser.add_argument("--region", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("objects", nargs="+", help="bucket/key, or paths for a peer that reads local files")
    arguments = parser.parse_args()
    try:
        count = PEERS[arguments.peer](arguments)
    except Unsupported as reason:
        print(json.dumps({"unsupported": str(reason)}))
        return
    begun, used = time.perf_counter(), time.process_time()
    rows = count()
    seconds, processor = time.perf_counter() - begun, time.process_time() - used
    print(json.dumps({"rows": rows, "seconds": seconds, "processor_seconds": processor}))


class Unsupported(Exception):
    """The peer cannot read the format."""


# The members of a JSON line, with the types of their values.
JSON = [
    ("ProfileId", "text"),
    ("AccountNumber", "text"),
    ("FirstName", "text"),
    ("LastName", "text"),
    ("EmailAddress", "text"),
    ("PhoneNumber", "text"),
    ("BirthDate", "text"),
    ("Address", ["City", "Country", "Address1", "PostalCode"]),
    ("LoyaltyTier", "text"),
    ("OptIn", "boolean"),
    ("Orders", "integer"),
    ("LifetimeValue", "number"),
    ("ChurnScore", "number"),
    ("LastOrderAt", "text"),
    ("CreatedAt", "text"),
    ("Products", "text"),
    ("Note", "text"),
]


def duckdb(arguments, local=False):
    """`count` of each column makes the scan parse all columns. Texts stay texts, which is faster than converting them.
    """
    import duckdb

    connection = duckdb.connect(config={"threads": arguments.threads})
    files = arguments.objects
    if not local:
        import duckdb_extension_httpfs

        folder = duckdb_extension_httpfs.__path__[0]
        extension = f"{folder}/extensions/v{duckdb.__version__}/httpfs.duckdb_extension"
        connection.execute(f"LOAD '{extension}'")
        connection.execute(
            "CREATE SECRET (TYPE s3, KEY_ID $key, SECRET $secret, REGION $region, ENDPOINT $endpoint, "
            "URL_STYLE 'path', USE_SSL false)",
            {
                "key": arguments.access_key,
                "secret": arguments.secret_key,
                "region": arguments.region,
                "endpoint": arguments.endpoint,
            },
        )
        files = [f"s3://{name}" for name in files]
    if arguments.format == "orc":
        raise Unsupported("DuckDB has no ORC reader")
    if arguments.format == "csv":
        source = "read_csv($files, header = true, all_varchar = true, delim = ',', quote = '\"', escape = '\"')"
    else:
        names = {"text": "VARCHAR", "boolean": "BOOLEAN", "integer": "BIGINT", "number": "DOUBLE"}
        types = ", ".join(
            f"{name!r}: 'STRUCT({', '.join(f'{inner} VARCHAR' for inner in kind)})'"
            if isinstance(kind, list)
            else f"{name!r}: '{names[kind]}'"
            for name, kind in JSON
        )
        source = f"read_json($files, format = 'newline_delimited', columns = {{{types}}})"

    def count():
        return connection.execute(f"SELECT count(*), count(COLUMNS(*)) FROM {source}", {"files": files}).fetchone()[0]

    return count


def polars(arguments):
    """The streaming engine with its own S3 reader. The count of each column makes it parse all columns."""
    import os

    os.environ["POLARS_MAX_THREADS"] = str(arguments.threads)
    import polars as pl

    files = [f"s3://{name}" for name in arguments.objects]
    options = {
        "aws_access_key_id": arguments.access_key,
        "aws_secret_access_key": arguments.secret_key,
        "aws_region": arguments.region,
        "aws_endpoint_url": f"http://{arguments.endpoint}",
        "aws_allow_http": "true",
    }
    if arguments.format == "orc":
        raise Unsupported("polars has no ORC reader of its own")
    if arguments.format == "csv":
        frame = pl.scan_csv(files, infer_schema=False, storage_options=options)
    else:
        types = {"text": pl.String, "boolean": pl.Boolean, "integer": pl.Int64, "number": pl.Float64}
        schema = {
            name: pl.Struct({inner: pl.String for inner in kind}) if isinstance(kind, list) else types[kind]
            for name, kind in JSON
        }
        frame = pl.scan_ndjson(files, schema=schema, storage_options=options)
    query = frame.select(pl.len().alias("rows"), pl.all().count())

    def count():
        return query.collect(engine="streaming")["rows"][0]

    return count


def pyarrow(arguments):
    """Batches of all columns as they arrive. Files are read in parallel if the format's reader has only one thread."""
    from concurrent.futures import ThreadPoolExecutor

    import pyarrow as pa
    import pyarrow.dataset
    import pyarrow.fs
    import pyarrow.json

    pa.set_cpu_count(arguments.threads)
    store = pyarrow.fs.S3FileSystem(
        access_key=arguments.access_key,
        secret_key=arguments.secret_key,
        region=arguments.region,
        endpoint_override=arguments.endpoint,
        scheme="http",
    )
    files = arguments.objects

    if arguments.format in ("csv", "orc"):
        import pyarrow.csv

        if arguments.format == "csv":
            texts = {name: pa.string() for name in header(store, files[0])}
            format = pyarrow.dataset.CsvFileFormat(
                parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
                convert_options=pyarrow.csv.ConvertOptions(column_types=texts),
            )
        else:
            format = "orc"
        dataset = pyarrow.dataset.dataset(files, format=format, filesystem=store)
        return lambda: sum(batch.num_rows for batch in dataset.to_batches())

    types = {"text": pa.string(), "boolean": pa.bool_(), "integer": pa.int64(), "number": pa.float64()}
    schema = pa.schema(
        [
            (name, pa.struct([(inner, pa.string()) for inner in kind]) if isinstance(kind, list) else types[kind])
            for name, kind in JSON
        ]
    )
    compression = "gzip" if arguments.format == "jsonl-gzip" else None

    def read(name):
        with store.open_input_stream(name, compression=compression) as stream:
            batches = pyarrow.json.open_json(
                stream,
                read_options=pyarrow.json.ReadOptions(block_size=4 << 20),
                parse_options=pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error"),
            )
            return sum(batch.num_rows for batch in batches)

    def count():
        with ThreadPoolExecutor(arguments.threads) as pool:
            return sum(pool.map(read, files))

    return count


def header(store, name):
    with store.open_input_stream(name) as stream:
        return stream.read(4096).split(b"\n", 1)[0].decode().strip().split(",")


PEERS = {
    "duckdb": duckdb,
    "duckdb-local": lambda arguments: duckdb(arguments, local=True),
    "polars": polars,
    "pyarrow": pyarrow,
}

if __name__ == "__main__":
    sys.exit(main())
