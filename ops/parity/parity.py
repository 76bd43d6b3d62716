"""Compares glmflow with PyTorch and prints the largest differences.

The truth is chatglm3.py in float64. Beside glmflow, transformers' GLM in float32
is held to it, so that the table shows what float32 costs anybody. A difference is
the largest of a tensor's elements, divided by the largest magnitude of the
tensor's true elements.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file

from chatglm3 import ADAPTER, PREFIX, ChatGLM3, nll, randomize, settings
from glm import Glm

VARIANTS = {
    "base": settings(),
    "rope 50": settings(rope_ratio=50),
    "4 groups": settings(num_attention_heads=8, multi_query_group_num=4, kv_channels=8),
    "MHA": settings(multi_query_attention=False),
    "3 heads/1": settings(num_attention_heads=3, multi_query_group_num=1, kv_channels=20),
    "V 333": settings(padded_vocab_size=333, hidden_size=60, ffn_hidden_size=101),
    "no bias": settings(add_qkv_bias=False),
    "wide": settings(num_layers=2, hidden_size=256, ffn_hidden_size=688, kv_channels=64, padded_vocab_size=1024),
}

# What a quantity may differ by. Logits, losses and gradients: a hundred units in
# the last place of float32, which sums of a few thousand terms use up between
# them. Curves: fifty steps of AdamW, which divides each gradient by its own
# size and so makes much of the rounding of those that are nearly zero.
# bfloat16 has 8 bits: products err by 2⁻⁹ each, and a tensor by a few per cent of its scale.
LIMITS = {"fp32": {"": 1e-5, "curve": 1e-4}, "bf16": {"": 5e-2, "loss": 5e-3, "curve": 2e-2}}

LENGTHS = [2, 7, 33, 64, 129, 18, 5, 90, 41, 11, 3, 77]
STEPS, BATCH_TOKENS, RANK, ALPHA, PREFIX_TOKENS = 50, 160, 4, 16, 9
TARGETS = ["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"]
RATE = {"full": 1e-3, "lora": 1e-3}


def limit(precision, quantity):
    of = LIMITS[precision]
    return of.get(quantity.split()[0], of[""])


def data(c, seed):
    """Rows of random ids; about a third of them are no targets."""
    g = torch.Generator().manual_seed(seed)
    rows = []
    for n in LENGTHS:
        ids = torch.randint(c["padded_vocab_size"], (n,), generator=g)
        labels = torch.where(torch.rand(n, generator=g) < 0.33, torch.full_like(ids, -100), ids)
        labels[-1] = ids[-1]  # so that every row has a target
        rows.append((ids, labels))
    return rows


def evaluate(model, rows):
    """Logits and losses of each row, and the gradient of the mean loss."""
    out = {}
    total = sum(nll(torch.zeros(*r[0].shape, 1, dtype=torch.float64).expand(-1, model.c["padded_vocab_size"]), r[1])[1] for r in rows)
    for p in model.tensors().values():
        p.grad = None
        p.requires_grad_(True)
    for i, (ids, labels) in enumerate(rows):
        scores = model(ids[None])[0]
        loss, _ = nll(scores, labels)
        (loss / total).backward()
        out[f"logits/{i}"], out[f"loss/{i}"] = scores.detach(), loss.detach()
    out |= {f"gradient/{n}": p.grad for n, p in model.tensors().items()}
    return out


def packed(rows):
    """Rows of each micro-batch of an epoch, filled in order as finetune does."""
    bins, room = [], 0
    for r in rows:
        if len(r[0]) > room or not bins:
            bins.append([])
            room = BATCH_TOKENS
        bins[-1].append(r)
        room -= len(r[0])
    return bins


def train(model, rows, method):
    """Loss and gradient norm of each step: AdamW, clipping at 1, a rate that falls linearly to zero."""
    adapters = [p for n, p in model.tensors().items() if n.startswith(ADAPTER)]
    params = adapters if method == "lora" else list(model.tensors().values())
    for p in model.tensors().values():
        p.grad = None
        p.requires_grad_(any(p is q for q in params))
    optimizer = torch.optim.AdamW(params, lr=RATE[method], betas=(0.9, 0.999), eps=1e-8, weight_decay=0)
    curve, bins = defaultdict(list), packed(rows)
    for step in range(STEPS):
        batch = bins[step % len(bins)]
        parts = [nll(model(ids[None])[0], labels) for ids, labels in batch]
        loss = sum(p[0] for p in parts) / sum(p[1] for p in parts)
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(params, 1.0)
        for group in optimizer.param_groups:
            group["lr"] = RATE[method] * (STEPS - step) / STEPS
        optimizer.step()
        curve["loss"].append(loss.item())
        curve["norm"].append(norm.item())
    return {f"curve/{method} {k}": torch.tensor(v, dtype=torch.float64) for k, v in curve.items()}


class Glmflow:
    """Runs the program on files in a directory."""

    def __init__(self, binary, device, precision, dir, c, weights, rows):
        self.common = ["--device", device, "--precision", precision]
        self.binary, self.dir = binary, dir
        model, adapter = dir / "model", dir / "adapter"
        if model.exists():
            return
        model.mkdir()
        adapter.mkdir()
        (model / "config.json").write_text(json.dumps(c))
        save_file({n: t.contiguous() for n, t in weights.items() if not n.startswith(ADAPTER)}, model / "model.safetensors")
        save_file({n: t.contiguous() for n, t in weights.items() if n.startswith(ADAPTER)}, adapter / "adapter_model.safetensors")
        (adapter / "adapter_config.json").write_text(json.dumps({
            "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": RANK, "lora_alpha": ALPHA, "lora_dropout": 0.0,
            "target_modules": TARGETS, "bias": "none", "base_model_name_or_path": "model"}))
        with open(dir / "rows.jsonl", "w") as f:
            for ids, labels in rows:
                print(json.dumps({"ids": ids.tolist(), "labels": labels.tolist()}), file=f)

    def run(self, verb, *arguments):
        done = subprocess.run([self.binary, verb, "--model", self.dir / "model", "--data", self.dir / "rows.jsonl", *self.common, *arguments],
                              capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"glmflow {verb}: {done.stderr}")
        return done.stdout

    def prefixed(self, c, table):
        """What evaluate gives with the prefix of the table [N,W] for adapter."""
        prefix = self.dir / "prefix"
        prefix.mkdir(exist_ok=True)
        save_file({PREFIX: table.contiguous()}, prefix / "model.safetensors")
        (prefix / "config.json").write_text(json.dumps(c | {"pre_seq_len": len(table), "prefix_projection": False}))
        return self.evaluate("prefix")

    def evaluate(self, adapter="adapter"):
        scores = self.run("score", "--adapter", self.dir / adapter, "--dump", self.dir / "logits", "--gradients", self.dir / "gradients")
        out = {f"loss/{i}": torch.tensor(json.loads(line)["nll"], dtype=torch.float64) for i, line in enumerate(scores.splitlines())}
        out |= load_file(self.dir / "logits")
        return out | {f"gradient/{n}": t for n, t in load_file(self.dir / "gradients").items()}

    def train(self, method):
        metrics, adapter = self.dir / "metrics.jsonl", ["--adapter", self.dir / "adapter", "--lora-dropout", "0"] if method == "lora" else []
        metrics.unlink(missing_ok=True)
        self.run("finetune", "--out", self.dir / f"out-{method}", "--metrics", metrics, "--method", method, *adapter, "--no-shuffle",
                 "--lr", str(RATE[method]), "--max-steps", str(STEPS), "--batch-tokens", str(BATCH_TOKENS))
        steps = [json.loads(line) for line in metrics.read_text().splitlines()]
        for i, s in enumerate(steps):
            assert abs(s["lr"] - RATE[method] * (STEPS - i) / STEPS) < 1e-12, f"learning rate of step {i + 1}: {s['lr']}"
        pick = lambda key: torch.tensor([s[key] for s in steps], dtype=torch.float64)
        return {f"curve/{method} loss": pick("loss"), f"curve/{method} norm": pick("grad_norm")}


def quantity(name):
    """The table's row that a result belongs to."""
    kind, _, rest = name.partition("/")
    if kind == "prefix gradient":
        return kind + (" of the table" if rest == PREFIX else ", others")
    if kind == "gradient":
        if ".lora_" in rest:
            return "gradient " + ("lora_A" if "lora_A" in rest else "lora_B")
        return "gradient " + ".".join(rest.split(".")[-2:]).removesuffix(".weight")
    return f"{kind} {rest}" if kind == "curve" else kind


def compare(truth, got):
    """The largest difference of each quantity."""
    assert truth.keys() == got.keys(), truth.keys() ^ got.keys()
    worst = defaultdict(float)
    for name, want in truth.items():
        have = got[name].double()
        assert want.shape == have.shape, f"{name}: {have.shape}, want {want.shape}"
        by = want.abs() if name.startswith("curve") else want.abs().max()
        d = ((have - want.double()).abs() / by).max().item()
        worst[quantity(name)] = max(worst[quantity(name)], d if d == d else float("inf"))
    return worst


def measure(arguments, c, seed, precision, dir):
    """Differences of glmflow and of PyTorch at the same precision from PyTorch in float64."""
    rows = data(c, seed)

    def network(dtype):
        model = ChatGLM3(c)
        model.adapt(RANK, ALPHA, TARGETS)
        randomize(model, seed)
        return model.to(dtype)

    plain = ChatGLM3(c)  # full training has no adapters
    weights = {n: p.detach().clone() for n, p in network(torch.float32).tensors().items()}
    plain.load_state_dict({n: t for n, t in weights.items() if not n.startswith(ADAPTER)})
    truth = evaluate(network(torch.float64), rows)
    truth |= train(network(torch.float64), rows, "lora") | train(plain.double(), rows, "full")

    ours = Glmflow(arguments.glmflow, arguments.device, precision, dir, c, weights, rows)
    got = ours.evaluate() | ours.train("lora") | ours.train("full")

    before = ChatGLM3(c)
    before.prepend(PREFIX_TOKENS)
    randomize(before, seed)
    named = lambda all: {f"prefix {n}": t for n, t in all.items()}
    got |= named(ours.prefixed(c, before.table.detach().clone()))
    # The base's weights in the files are those that stand beside adapters.
    before.load_state_dict({n: t for n, t in weights.items() if not n.startswith(ADAPTER)}, strict=False)
    truth |= named(evaluate(before.double(), rows))

    fresh = lambda keep: {n: t.clone() for n, t in weights.items() if keep(n)}
    whole = lambda: Glm(c, fresh(lambda n: True), ALPHA)
    # Weights change while the context lasts: their rounded copies must not be kept.
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16", cache_enabled=False):
        theirs = evaluate(whole(), rows) | train(whole(), rows, "lora")
        theirs |= train(Glm(c, fresh(lambda n: not n.startswith(ADAPTER)), ALPHA), rows, "full")
    return compare(truth, got), compare({n: t for n, t in truth.items() if n in theirs}, theirs)


def table(precision, results):
    """Prints a row a quantity and a column a variant; returns whether all keep their limits."""
    names = list(results)
    rows = list(dict.fromkeys(q for ours, _ in results.values() for q in ours))
    print(f"\nglmflow in {precision}, largest differences from PyTorch in float64 ('theirs': transformers' GLM in {precision}, all variants)\n")
    print(f"{'':30}" + "".join(f"{n:>11}" for n in [*names, "worst", "theirs", "limit"]))
    good = True
    for q in rows:
        ours = [results[n][0].get(q) for n in names]
        worst = max(d for d in ours if d is not None)
        theirs = max((results[n][1][q] for n in names if q in results[n][1]), default=None)
        ok = worst <= limit(precision, q)
        good &= ok
        cells = [f"{d:.1e}" if d is not None else "-" for d in [*ours, worst, theirs, limit(precision, q)]]
        print(f"{q:30}" + "".join(f"{cell:>11}" for cell in cells) + ("" if ok else "  FAIL"))
    return good


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("glmflow", help="the program to compare")
    p.add_argument("--device", default="auto", help="its --device. Default auto")
    p.add_argument("--precision", default="fp32,bf16", help="precisions to compare. Default fp32,bf16")
    arguments = p.parse_args()
    torch.set_num_threads(1)  # the networks are small, and other programs may run
    print(f"PyTorch {torch.__version__}, transformers {transformers.__version__}, glmflow on device {arguments.device}")
    good = True
    for precision in arguments.precision.split(","):
        results = {}
        for seed, (name, c) in enumerate(VARIANTS.items()):
            with tempfile.TemporaryDirectory() as dir:
                results[name] = measure(arguments, c, seed, precision, Path(dir))
            print(f"{precision}: {name} compared", file=sys.stderr, flush=True)
        good &= table(precision, results)
    print("\nall within their limits" if good else "\nsome differ by more than their limit")
    sys.exit(not good)


if __name__ == "__main__":
    main()
