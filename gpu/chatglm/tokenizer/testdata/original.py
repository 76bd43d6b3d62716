"""The original SentencePiece, for TestSentencePiece: JSON in, JSON out.

stdin   {"model": path, "texts": [string], "ids": [[int]]}
stdout  {"encoded": [[int]], "decoded": [string]}
"""
import json
import sys

import sentencepiece

job = json.load(sys.stdin)
sp = sentencepiece.SentencePieceProcessor(model_file=job["model"])
json.dump(
    {
        "encoded": [sp.encode(text) for text in job["texts"]],
        "decoded": [sp.decode(ids) for ids in job["ids"]],
    },
    sys.stdout,
)
