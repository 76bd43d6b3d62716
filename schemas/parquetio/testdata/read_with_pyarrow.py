"""Prints a dialogue dataset the way pyarrow sees it; run by parquetio_test.go."""

import json
import sys

import pyarrow.parquet as pq

table = pq.read_table(sys.argv[1])
meta = table.schema.metadata or {}
print(*(meta[k.encode()].decode() for k in ("glmflow.kind", "glmflow.version", "note")))
for row in table.to_pylist():
    turns = [{k: t[k] for k in ("role", "content", "train")} for t in row["turns"]]
    origin = [row["origin"]["file"], row["origin"]["line"]]
    print(json.dumps({"id": row["id"], "turns": turns, "origin": origin, "signature": row["signature"]}, ensure_ascii=False))
