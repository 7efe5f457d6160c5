"""Writes the golden files of the Parquet reader: tables in all types, encodings and compressions, by
pyarrow, and the values that pyarrow reads from them, in the form that `parquet()` promises.

    pip install pyarrow
    python3 test/parquet/golden.py                    writes test/parquet/golden/
    python3 test/parquet/golden.py FILE.parquet ...   prints the values of any files, a line each

Beside `TABLE.VARIANT.parquet` is `TABLE.json`: a list of rows. JSON lacks some values: {"$ms": 1} is a Date,
{"$bigint": "1"}, {"$bytes": "00ff"}, {"$number": "NaN"}, {"$object": [[key, value]]} is an object
with a key that begins with a dollar sign, or __proto__.
"""

import datetime
import decimal
import json
import math
import os
import sys

import pyarrow as pa
import pyarrow.compute as compute
import pyarrow.parquet as pq

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden")
EXACT = 2**53 - 1
DAY_MS = 86_400_000
UNITS_PER_MS = {"s": None, "ms": 1, "us": 1000, "ns": 1_000_000}


def golden(kind, value):
    """The value as JSON, by the type that pyarrow gives it."""
    if value is None:
        return None
    types = pa.types
    if types.is_dictionary(kind):
        return golden(kind.value_type, value)
    if isinstance(kind, pa.BaseExtensionType):
        return golden(kind.storage_type, value)
    if types.is_boolean(kind):
        return value
    if types.is_integer(kind):
        return integer(value)
    if types.is_floating(kind):
        return number(float(value))
    if types.is_decimal(kind):
        return fraction(value, kind.scale)
    if types.is_string(kind) or types.is_large_string(kind):
        return value
    if types.is_fixed_size_binary(kind):
        return {"$bytes": value.hex()}
    if types.is_binary(kind) or types.is_large_binary(kind):
        return text_or_bytes(value)
    if types.is_list(kind) or types.is_large_list(kind):
        return [golden(kind.value_type, each) for each in value]
    if types.is_map(kind):
        return map_of(kind, value)
    if types.is_struct(kind):
        return object_of([(field.name, golden(field.type, value[field.name])) for field in kind])
    if types.is_null(kind):
        return None
    raise TypeError(f"no golden form of {kind}")


def column(kind, array):
    """The values of a column; times as integers, because Python has no nanoseconds."""
    types = pa.types
    if types.is_timestamp(kind):
        return [time(kind.unit, each) for each in array.cast(pa.int64()).to_pylist()]
    if types.is_date32(kind):
        days = array.cast(pa.int32()).to_pylist()
        return [None if each is None else {"$ms": each * DAY_MS} for each in days]
    if types.is_time32(kind):
        return array.cast(pa.int32()).to_pylist()
    if types.is_time64(kind):
        return array.cast(pa.int64()).to_pylist()
    if types.is_list(kind) and types.is_temporal(kind.value_type):
        values = column(kind.value_type, array.combine_chunks().flatten())
        lengths = compute.list_value_length(array).to_pylist()
        return [None if each is None else [values.pop(0) for _ in range(each)] for each in lengths]
    return [golden(kind, each) for each in array.to_pylist()]


def integer(value):
    return value if abs(value) <= EXACT else {"$bigint": str(value)}


def number(value):
    if math.isfinite(value) and math.copysign(1, value) * value != 0:
        return value
    if value == 0 and math.copysign(1, value) > 0:
        return 0
    return {"$number": "-0" if value == 0 else "NaN" if math.isnan(value) else repr(value)}


def fraction(value, scale):
    unscaled = int(value.scaleb(scale, decimal.Context(prec=100)))
    if abs(unscaled) <= EXACT and scale <= 22:
        return unscaled / 10**scale
    return f"{value:f}"


def text_or_bytes(value):
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return {"$bytes": value.hex()}


def map_of(kind, entries):
    pairs = [[golden(kind.key_type, key), golden(kind.item_type, each)] for key, each in entries]
    is_text = pa.types.is_string(kind.key_type)
    return object_of([(key, each) for key, each in pairs]) if is_text else pairs


def object_of(pairs):
    if any(key.startswith("$") or key == "__proto__" for key, _ in pairs):
        return {"$object": [list(pair) for pair in pairs]}
    return dict(pairs)


def time(unit, value):
    if value is None:
        return None
    divisor = UNITS_PER_MS[unit]
    return {"$ms": value * 1000 if divisor is None else value // divisor}


def rows_of(path):
    table = pq.read_table(path, use_threads=False, partitioning=None)
    names = table.column_names
    columns = [column(field.type, table.column(index)) for index, field in enumerate(table.schema)]
    return [object_of(list(zip(names, values))) for values in zip(*columns)]


def write(name, table, **options):
    """Writes a file. Those of one table, `TABLE.VARIANT.parquet`, have the same values."""
    path = os.path.join(HERE, f"{name}.parquet")
    pq.write_table(table, path, store_schema=False, **options)
    rows = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows_of(path))
    text = f"[\n{rows}\n]\n"
    values = os.path.join(HERE, f"{name.split('.')[0]}.json")
    if WRITTEN.setdefault(values, text) != text:
        raise AssertionError(f"{path} has other values than {values}")
    with open(values, "w", encoding="utf-8") as file:
        file.write(text)


WRITTEN = {}


def nulls(values, every=5):
    return [None if index % every == 2 else value for index, value in enumerate(values)]


COUNT = 40
I = range(COUNT)
WIDE = [(-1) ** i * (i * 0x0123456789ABCDEF % 2**63) for i in I]
TIMES = [i * 1_234_567_891_234 - 20_000_000_000_001 for i in I]
TEXT = [f"ä{i % 7}-{'x' * (i % 4)}" for i in I]


def scalars():
    dec = lambda digits, scale: [decimal.Decimal(WIDE[i] % 10**digits).scaleb(-scale) * (-1) ** i for i in I]
    return pa.table(
        {
            "boolean": pa.array(nulls([i % 3 == 0 for i in I])),
            "int8": pa.array(nulls([i - 20 for i in I]), pa.int8()),
            "uint16": pa.array(nulls([65535 - i for i in I]), pa.uint16()),
            "int32": pa.array(nulls([-(2**31) + i for i in I]), pa.int32()),
            "uint32": pa.array(nulls([2**32 - 1 - i for i in I]), pa.uint32()),
            "int64": pa.array(nulls(WIDE), pa.int64()),
            "uint64": pa.array(nulls([2**64 - 1 - i for i in I]), pa.uint64()),
            "float16": pa.array(nulls([pa.scalar(i / 8, pa.float16()).as_py() for i in I]), pa.float16()),
            "float": pa.array(nulls([i / 8 for i in I]), pa.float32()),
            "double": pa.array(nulls([0.0, -0.0, math.nan, math.inf, -math.inf] + [i / 7 for i in I[5:]])),
            "text": pa.array(nulls(TEXT)),
            "bytes": pa.array(nulls([bytes([i, 255 - i]) for i in I]), pa.binary()),
            "fixed": pa.array(nulls([bytes([i, i, 255]) for i in I]), pa.binary(3)),
            "decimal9": pa.array(nulls(dec(9, 2)), pa.decimal128(9, 2)),
            "decimal18": pa.array(nulls(dec(18, 6)), pa.decimal128(18, 6)),
            "decimal38": pa.array(nulls(dec(18, 4)), pa.decimal128(38, 4)),
            "date": pa.array(nulls([i * 1000 - 20_000 for i in I]), pa.int32()).cast(pa.date32()),
            "time_ms": pa.array(nulls([i * 1000 for i in I]), pa.int32()).cast(pa.time32("ms")),
            "time_ns": pa.array(nulls([i * 10**9 + 1 for i in I]), pa.int64()).cast(pa.time64("ns")),
            "at_ms": pa.array(nulls(TIMES), pa.timestamp("ms")),
            "at_us": pa.array(nulls(TIMES), pa.timestamp("us", tz="UTC")),
            "at_ns": pa.array(nulls(TIMES), pa.timestamp("ns")),
            "nothing": pa.nulls(COUNT),
        }
    )


def nested():
    lists = nulls([[j for j in range(i % 4)] for i in I])
    deep = nulls([[None if j == 1 else [f"{j}", None] * (j % 3) for j in range(i % 3)] for i in I])
    structs = nulls([{"a": i, "b": None if i % 4 == 0 else {"c": TEXT[i], "__proto__": i}} for i in I])
    maps = nulls([[(f"k{j}", j if j % 2 else None) for j in range(i % 4)] for i in I])
    numbers = nulls([[(j, f"{j}") for j in range(i % 3)] for i in I])
    inner = pa.struct([("c", pa.string()), ("__proto__", pa.int32())])
    things = pa.list_(pa.struct([("m", pa.map_(pa.string(), pa.list_(pa.int8()))), ("d", pa.decimal128(20, 3))]))
    big = decimal.Decimal("12345678901234567.891")
    return pa.table(
        {
            "list": pa.array(lists, pa.list_(pa.int64())),
            "deep": pa.array(deep, pa.list_(pa.list_(pa.string()))),
            "struct": pa.array(structs, pa.struct([("a", pa.int32()), ("b", inner)])),
            "map": pa.array(maps, pa.map_(pa.string(), pa.int32())),
            "numbers": pa.array(numbers, pa.map_(pa.int32(), pa.string())),
            "things": pa.array(nulls([[{"m": [("x", [1, None])], "d": big}] * (i % 3) for i in I]), things),
            "bytes": pa.array(nulls([[bytes([255, i]), b"text"] for i in I]), pa.list_(pa.binary())),
            "times": pa.array(nulls([[TIMES[i], None] for i in I]), pa.list_(pa.timestamp("ns"))),
        }
    )


def encoded():
    """Of types that many encodings know."""
    return pa.table(
        {
            "int32": pa.array(nulls([(-1) ** i * i * i * 40_503_247 % 2**31 for i in I]), pa.int32()),
            "int64": pa.array(nulls(WIDE), pa.int64()),
            "float": pa.array(nulls([i / 8 for i in I]), pa.float32()),
            "double": pa.array(nulls([i / 7 for i in I]), pa.float64()),
            "fixed": pa.array(nulls([bytes([i, 7, 255 - i, 9]) for i in I]), pa.binary(4)),
            "text": pa.array(nulls(sorted(TEXT))),
            "boolean": pa.array(nulls([i % 3 == 0 for i in I])),
        }
    )


def tiny():
    return pa.table({"n": pa.array([1, None, 3], pa.int32()), "t": ["a", "b", "a"]})


def main():
    os.makedirs(HERE, exist_ok=True)
    pages = {"data_page_size": 64, "write_batch_size": 7}
    for version in ("1.0", "2.0"):
        v = version[0]
        write(f"scalars.v{v}", scalars(), data_page_version=version, **pages)
        write(f"nested.v{v}", nested(), data_page_version=version, write_page_checksum=True, **pages)
        write(
            f"scalars.plain-v{v}",
            scalars(),
            data_page_version=version,
            use_dictionary=False,
            compression="none",
            row_group_size=15,
        )
        for name, encodings in {
            "delta": {"int32": "DELTA_BINARY_PACKED", "int64": "DELTA_BINARY_PACKED", "text": "DELTA_BYTE_ARRAY", "fixed": "DELTA_BYTE_ARRAY"},
            "split": {each: "BYTE_STREAM_SPLIT" for each in ("int32", "int64", "float", "double", "fixed")}
            | {"text": "DELTA_LENGTH_BYTE_ARRAY", "boolean": "RLE"},
        }.items():
            write(
                f"encoded.{name}-v{v}",
                encoded(),
                data_page_version=version,
                use_dictionary=False,
                column_encoding=encodings,
                compression="zstd",
                **pages,
            )
    packed = pa.table({"text": TEXT * 3, "n": [each % 1000 for each in WIDE * 3]})
    for codec in ("snappy", "gzip", "brotli", "zstd", "lz4"):
        write(f"packed.{codec}", packed, use_dictionary=False, compression=codec)
    write("int96", scalars().select(["at_us"]), use_deprecated_int96_timestamps=True)
    write("old-lists", nested().select(["list", "deep"]), use_compliant_nested_type=False)
    write("tiny.plain", tiny(), compression="none")
    write("tiny.checksums", tiny(), compression="none", write_page_checksum=True)
    write("tiny-nested", nested().slice(0, 4).select(["deep", "map"]))
    write(
        "tiny-delta",
        encoded().slice(0, 6).select(["int64", "text"]),
        use_dictionary=False,
        column_encoding={"int64": "DELTA_BINARY_PACKED", "text": "DELTA_BYTE_ARRAY"},
        compression="none",
    )


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    for argument in sys.argv[1:]:
        try:
            print(json.dumps({"file": argument, "rows": rows_of(argument)}, ensure_ascii=False))
        except Exception as error:
            print(json.dumps({"file": argument, "error": f"{type(error).__name__}: {error}"}))
