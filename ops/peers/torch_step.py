"""Times PyTorch training ChatGLM3: forward, backward, clipping, AdamW, as fast as
it goes without changing the work. Prints {"seconds": […], "tokens": […],
"supervised": […]}, an entry a step that counts.

With --rows, each step takes the next conversations of a JSONL file of token
rows, padded to the longest of them on the right: with a causal mask that needs
no further mask, which is the cheapest padding there is.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import torch
from torch.nn import functional as F

sys.path.append(str(Path(__file__).parent.parent / "parity"))
from chatglm3 import ChatGLM3, settings  # noqa: E402

WARMUP = 3


def batches(p, vocabulary):
    """Ids and targets [B,T] of each step; −100 is no target."""
    if not p.rows:
        while True:
            ids = torch.randint(vocabulary, (p.batch, p.length))
            yield ids, torch.cat((ids[:, 1:], torch.full((p.batch, 1), -100)), dim=1)
    rows = [json.loads(line) for line in open(p.rows)]
    for i in range(0, len(rows), p.batch):
        part = rows[i : i + p.batch]
        longest = max(len(r["ids"]) for r in part)
        ids, targets = torch.zeros(len(part), longest, dtype=torch.long), torch.full((len(part), longest), -100)
        for k, r in enumerate(part):
            n = len(r["ids"])
            ids[k, :n] = torch.tensor(r["ids"])
            labels = torch.tensor(r["labels"])
            targets[k, : n - 1] = torch.where(labels < 0, -100, labels)[1:]
        yield ids, targets


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--batch", type=int, default=8)
    a.add_argument("--length", type=int, default=256)
    a.add_argument("--steps", type=int, default=5)
    a.add_argument("--bf16", action="store_true", help="autocast to bfloat16")
    a.add_argument("--compile", action="store_true", help="torch.compile the model and the loss")
    a.add_argument("--rows", help="token rows instead of random ones of equal length")
    p = a.parse_args()
    torch.manual_seed(1)
    torch.set_flush_denormal(True)
    c = settings(num_layers=6, hidden_size=384, ffn_hidden_size=1024, num_attention_heads=6, kv_channels=64,
                 padded_vocab_size=8192, seq_length=2048)
    model = ChatGLM3(c)
    torch.nn.init.normal_(model.transformer["embedding"]["word_embeddings"].weight, std=0.02)
    params = list(model.parameters())
    optimizer = torch.optim.AdamW(params, lr=5e-5, weight_decay=0, fused=True)

    def loss_of(ids, targets):
        with torch.autocast("cpu", torch.bfloat16, enabled=p.bf16):
            return F.cross_entropy(model(ids).flatten(0, 1).float(), targets.flatten(), ignore_index=-100)

    forward = torch.compile(loss_of) if p.compile else loss_of
    out = {"seconds": [], "tokens": [], "supervised": []}
    for i, (ids, targets) in enumerate(batches(p, c["padded_vocab_size"])):
        if not p.rows and i == WARMUP + p.steps:
            break
        began = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        forward(ids, targets).backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0, foreach=True)
        optimizer.step()
        if i >= WARMUP:
            out["seconds"].append(time.perf_counter() - began)
            out["tokens"].append(ids.numel())
            out["supervised"].append(int((targets >= 0).sum()))
    print(json.dumps(out))


if __name__ == "__main__":
    main()
