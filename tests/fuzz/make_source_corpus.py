#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets that read imported files: good ones of each kind, and hostile ones.

    PYTHONPATH=.deps/python tests/fuzz/make_source_corpus.py tests/fuzz/corpus
"""

import datetime
import decimal
import gzip
import io
import pathlib
import struct
import sys

import pyarrow as pa
import pyarrow.parquet as pq

JSONL = b'{"text": "one"}\n\n{"prompt": "2+2?", "completion": "4"}\r\n'
CSV = b'\xef\xbb\xbfprompt,"comple""tion",label\r\n2+2?,4,\r\n"a, ""b""\n",c,"d"\nshort\n'
TSV = b'prompt\t"a,b,c"\tcompletion\n2+2?\t,\t4\n"a\tb"\t\t""\n'


def table_of(columns):
    return pa.table({name: pa.array(values, type) for name, (type, values) in columns.items()})


def parquet(table, **options):
    out = io.BytesIO()
    pq.write_table(table, out, **{"compression": "none", **options})
    return out.getvalue()


def tables():
    message = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    chat = table_of({"messages": (message, [[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
                                            [], None])})
    rows = table_of({"text": (pa.string(), ["one", "two", "two", None] * 3)})
    now = datetime.datetime(2026, 11, 27, 18, 26, 4, 123000)
    types = table_of({
        "i": (pa.int64(), [1, None]), "f": (pa.float32(), [0.5, float("nan")]), "b": (pa.bool_(), [True, False]),
        "d": (pa.decimal128(20, 2), [decimal.Decimal("1.50"), None]), "t": (pa.timestamp("us", "UTC"), [now, None]),
        "day": (pa.date32(), [now.date(), None]), "time": (pa.time64("us"), [now.time(), None]),
        "map": (pa.map_(pa.string(), pa.int32()), [[("a", 1)], []]), "x": (pa.binary(), [b"\xff", b"text"]),
        "cat": (pa.dictionary(pa.int32(), pa.string()), ["a", "b"]), "fixed": (pa.list_(pa.int8(), 2), [[1, 2], None])})
    return chat, rows, types


def parquet_seeds():
    chat, rows, types = tables()
    good = parquet(rows, use_dictionary=False)
    yield "chat", parquet(chat)
    yield "types", parquet(types)
    yield "dictionary", parquet(rows, row_group_size=5)
    yield "plain", good
    yield "snappy", parquet(chat, compression="snappy")
    yield "delta", parquet(rows, use_dictionary=False, column_encoding={"text": "DELTA_BYTE_ARRAY"})
    yield "pages_2", parquet(chat, data_page_version="2.0")
    yield "cut", good[:-20]
    yield "huge_index", good[:-8] + struct.pack("<I", 0x7fffffff) + b"PAR1"
    yield "small_index", good[:-8] + struct.pack("<I", 3) + b"PAR1"
    yield "only_magic", b"PAR1\0\0\0\0PAR1"
    yield "encrypted", good[:-4] + b"PARE"


def source_seeds():
    packed = gzip.compress(JSONL, mtime=0)
    zstd = pa.Codec("zstd").compress(JSONL, asbytes=True)
    yield "jsonl", JSONL
    yield "csv", CSV
    yield "tsv", TSV
    yield "array", b'[{"text": "one"}]'
    yield "gzip", packed
    yield "gzip_csv", gzip.compress(CSV, mtime=0)
    yield "gzip_members", packed + packed
    yield "gzip_cut", packed[:-9]
    yield "gzip_garbage", packed + b"more"
    yield "gzip_zeros", gzip.compress(b"\0" * 200000, mtime=0)
    yield "zstd", zstd
    yield "zstd_cut", zstd[:-3]
    yield "zstd_skippable", zstd + struct.pack("<II", 0x184d2a50, 4) + b"abcd" + zstd
    yield "gzip_parquet", gzip.compress(parquet(tables()[1]), mtime=0)


def csv_seeds():
    yield "rows", CSV[3:]
    yield "open_quote", b'a,b\n1,"never closes\n2,3\n'
    yield "after_quote", b'a,b\n"x"y,1\n"x"\r\r\n'
    yield "columns", b"," * 5000
    yield "returns", b"a\r\n\r\n\rb\r\n"
    yield "twice", b"a,a\n1,2\n"
    yield "tabs", TSV
    yield "semicolons", b'"a;b";c,d\r\n"1;2";"x\n";\r\n'
    yield "pipes", b"a|b|c\n1|\"|\"|3\n"


def main():
    root = pathlib.Path(sys.argv[1])
    for target, seeds in (("parquet_fuzz", parquet_seeds()), ("dataset_source_fuzz", source_seeds()),
                          ("csv_fuzz", csv_seeds())):
        (root / target).mkdir(exist_ok=True)
        for name, content in seeds:
            (root / target / name).write_bytes(content)


main()
