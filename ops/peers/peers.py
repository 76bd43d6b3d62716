"""Measures glmflow beside other programs that do the same work and prints a table.

Every contestant runs once a round, in an order that changes; what counts is the
median of all its steps. See README.md for what each of them does.
"""

import argparse
import json
import os
import platform
import random
import shlex
import statistics
import subprocess
import sys
from pathlib import Path

import torch

HERE = Path(__file__).parent
SHAPE = "small"  # 6 layers, 384 wide, vocabulary 8192
BATCH = 8
WARMUP = 3  # steps at the beginning of a measurement over conversations that do not count


class Failed(Exception):
    pass


def run(command, prefix=()):
    """The last line that command prints, read as JSON, or all of it."""
    done = subprocess.run([*prefix, *map(str, command)], capture_output=True, text=True)
    if done.returncode:
        raise Failed(f"{shlex.join(map(str, command))}: {done.stderr.strip()[-400:]}")
    try:
        return json.loads(done.stdout)
    except json.JSONDecodeError:
        return json.loads(done.stdout.strip().splitlines()[-1])


def rounds(contestants, n, prefix):
    """Runs each contestant n times and returns the results of those that did not fail."""
    results = {name: [] for name in contestants}
    for i in range(n):
        order = list(contestants)
        random.Random(i).shuffle(order)
        for name in order:
            if name not in results:
                continue
            try:
                results[name].append(contestants[name](prefix))
                print(f"round {i + 1}: {name}", file=sys.stderr, flush=True)
            except Failed as e:
                del results[name]
                print(f"without {name}: {e}", file=sys.stderr, flush=True)
    return results


class Bench:
    def __init__(self, p):
        self.p, self.prefix = p, shlex.split(p.prefix)
        self.llmc, self.ggml, self.llama = (p.cache / n for n in ("llmc_step", "ggml_step", "llama-bench"))
        self.threads = len(os.sched_getaffinity(0))

    def glmflow(self, *arguments):
        return lambda prefix: run([self.p.glmflow, *arguments], prefix)

    def torch(self, *arguments):
        return lambda prefix: run([sys.executable, HERE / "torch_step.py", *arguments], prefix)

    def peaks(self):
        """The machine's limits by name, the best of a few tries."""
        best = {}
        for _ in range(3):
            for l in run([self.p.glmflow, "bench", "peak", "--json"], self.prefix):
                best[l["name"]] = max(best.get(l["name"], 0), l["best"])
        return best

    def training(self, length):
        """Tokens a second of each, of whole training steps on sequences of one length."""
        steps = self.p.steps
        ours = lambda precision: self.glmflow("bench", "train", "--shape", SHAPE, "--batch", BATCH, "--length", length,
                                              "--steps", steps, "--precision", precision, "--json")
        theirs = lambda *a: self.torch("--batch", BATCH, "--length", length, "--steps", steps, *a)
        all = {
            "glmflow fp32": ours("fp32"), "glmflow bf16": ours("bf16"),
            "PyTorch fp32": theirs(), "PyTorch bf16 autocast": theirs("--bf16"),
        }
        if self.p.compile:
            all |= {"PyTorch fp32, compiled": theirs("--compile"), "PyTorch bf16, compiled": theirs("--bf16", "--compile")}
        if self.llmc.exists():
            all["llm.c"] = lambda prefix: run([self.llmc, BATCH, length, 2, self.p.cache / "llmc.bin"], prefix)
        if self.ggml.exists():
            all["ggml"] = lambda prefix: run([self.ggml, BATCH, length, 2, self.threads], prefix)
        results = rounds(all, self.p.rounds, self.prefix)
        return {n: BATCH * length / statistics.median(s for r in rs for s in r["seconds"]) for n, rs in results.items()}

    def conversations(self, rows):
        """Supervised tokens a second of each, on conversations of mixed length."""
        model, supervised = self.p.cache / "small", []
        if not (model / "config.json").exists():
            subprocess.run([self.p.glmflow, "model", "init", "--shape", SHAPE, "--out", model], check=True, stdout=subprocess.DEVNULL)
        lines = [json.loads(line) for line in open(rows)]
        lines = lines[:: max(1, len(lines) // self.p.conversations)]  # some of every source
        rows = self.p.cache / "some.jsonl"
        rows.write_text("".join(json.dumps(r) + "\n" for r in lines))
        padded = BATCH * statistics.mean(len(r["ids"]) for r in lines)
        room = 0
        for r in lines:  # as finetune packs
            if len(r["ids"]) > room or not supervised:
                supervised.append(0)
                room = int(padded)
            supervised[-1] += sum(l >= 0 for l in r["labels"][1:])
            room -= len(r["ids"])

        def ours(precision):
            def measure(prefix):
                metrics = self.p.cache / "metrics.jsonl"
                metrics.unlink(missing_ok=True)
                done = subprocess.run([*prefix, self.p.glmflow, "finetune", "--model", model, "--data", rows, "--out", self.p.cache / "out",
                                       "--method", "full", "--epochs", "1", "--batch-tokens", str(int(padded)), "--no-shuffle",
                                       "--save-every", "0", "--precision", precision, "--metrics", metrics], capture_output=True, text=True)
                if done.returncode:
                    raise Failed(done.stderr)
                steps = [json.loads(line) for line in metrics.read_text().splitlines()]
                return {"seconds": [s["seconds"] for s in steps[WARMUP:]], "supervised": supervised[WARMUP:]}

            return measure

        all = {"glmflow fp32, packed": ours("fp32"), "glmflow bf16, packed": ours("bf16"),
               "PyTorch fp32, padded": self.torch("--rows", rows), "PyTorch bf16 autocast, padded": self.torch("--rows", rows, "--bf16")}
        results = rounds(all, self.p.rounds, self.prefix)
        rate = lambda r: sum(r["supervised"]) / sum(r["seconds"])
        return {n: statistics.median(map(rate, rs)) for n, rs in results.items()}

    def answering(self):
        """Prompt and answer tokens a second of each, on a model that no cache holds."""
        model, gguf = self.p.cache / "1b", self.p.cache / "1b.gguf"
        if not (model / "config.json").exists():
            subprocess.run([self.p.glmflow, "model", "init", "--shape", self.p.large, "--out", model], check=True, stdout=subprocess.DEVNULL)
        all = {}
        for precision in ("fp32", "bf16"):
            all[f"glmflow {precision}"] = self.glmflow("bench", "generate", "--model", model, "--prompt", 128, "--new", 16, "--runs", 1,
                                                       "--precision", precision, "--weights", precision, "--json")
        if self.llama.exists():
            if not gguf.exists():
                subprocess.run([sys.executable, HERE / "gguf.py", model, gguf], check=True)

            def llama(prefix):
                prompt, answer = run([self.llama, "-m", gguf, "-p", 128, "-n", 16, "-t", self.threads, "-r", 2, "-o", "json"], prefix)
                return {"prompt_tokens_per_s": prompt["avg_ts"], "tokens_per_s": answer["avg_ts"]}

            all["llama.cpp bf16"] = llama
        results = rounds(all, self.p.rounds, self.prefix)
        out = {}
        for n, rs in results.items():
            out[n] = {k: statistics.median(r[k] for r in rs) for k in ("prompt_tokens_per_s", "tokens_per_s")}
            out[n]["weight_bytes"] = rs[0].get("weight_bytes")
        return out


def column(title, rates, unit):
    print(f"\n{title}\n")
    for name, rate in rates.items():
        print(f"  {name:32}{rate:10,.0f} {unit}")


def ratio(title, a, b):
    if a and b:
        print(f"  {title:58}{a / b:6.2f}×")


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("glmflow", help="the program")
    a.add_argument("--cache", type=Path, required=True, help="where peers were built and models are kept")
    a.add_argument("--rounds", type=int, default=3, help="rounds. Default 3")
    a.add_argument("--steps", type=int, default=5, help="training steps of a round that count. Default 5")
    a.add_argument("--lengths", default="128,256", help="lengths of the sequences. Default 128,256")
    a.add_argument("--rows", help="token rows of conversations, from glmflow tokenize; without it that part is left out")
    a.add_argument("--conversations", type=int, default=160, help="how many of them. Default 160")
    a.add_argument("--large", default="1b", help="shape of the model that answers. Default 1b")
    a.add_argument("--compile", action="store_true", help="torch.compile too; that takes minutes")
    a.add_argument("--prefix", default="", help="command to run each measurement under, such as 'taskset -c 0,1'")
    a.add_argument("--only", default="training,conversations,answering", help="parts to do")
    p = a.parse_args()
    b, parts = Bench(p), p.only.split(",")

    peaks = b.peaks()
    name = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), platform.machine())
    print(f"machine: {name}, {b.threads} cores; " + ", ".join(f"{n} {v:,.0f} {'GB/s' if n == 'read' else 'GFLOP/s'}" for n, v in peaks.items()))
    print(f"PyTorch {torch.__version__}, Python {platform.python_version()}, {p.rounds} rounds")

    for length in map(int, p.lengths.split(",")) if "training" in parts else ():
        rates = b.training(length)
        column(f"training steps, 6 layers of 384, {BATCH} × {length} tokens", rates, "tokens/s")
        print()
        for precision, peer in (("bf16", "PyTorch bf16 autocast"), ("fp32", "PyTorch fp32"), ("bf16", "PyTorch bf16, compiled"),
                                ("fp32", "PyTorch fp32, compiled"), ("bf16", "llm.c"), ("bf16", "ggml")):
            ratio(f"glmflow {precision} against {peer}", rates.get("glmflow " + precision), rates.get(peer))
        work = run([p.glmflow, "bench", "train", "--shape", SHAPE, "--batch", BATCH, "--length", length, "--steps", 1, "--json"])
        operations = work["gflops"] / work["tokens_per_s"]  # of a token, in 10⁹
        for precision in ("fp32", "bf16"):
            rate = rates.get("glmflow " + precision, 0) * operations
            for n, v in peaks.items():
                if n.split()[0] == precision:
                    print(f"  {'glmflow ' + precision + ': ' + format(rate, ',.0f') + ' GFLOP/s of measured ' + n:58}{100 * rate / v:6.1f} %")

    if p.rows and "conversations" in parts:
        rates = b.conversations(p.rows)
        column("conversations of mixed length, the same model", rates, "supervised tokens/s")
        print()
        for precision, peer in (("bf16", "PyTorch bf16 autocast, padded"), ("fp32", "PyTorch fp32, padded")):
            ratio(f"glmflow {precision} against {peer}", rates.get(f"glmflow {precision}, packed"), rates.get(peer))

    if "answering" in parts:
        rates = b.answering()
        column(f"prompts of 128 tokens, shape {p.large}", {n: r["prompt_tokens_per_s"] for n, r in rates.items()}, "tokens/s")
        print("\nanswers, one at a time, the same model\n")
        for n, r in rates.items():
            share = ""
            if r["weight_bytes"]:
                used = r["weight_bytes"] * r["tokens_per_s"] / 1e9
                share = f"   {used:.1f} GB/s of weights, {100 * used / peaks['read']:.0f} % of measured read"
            print(f"  {n:32}{r['tokens_per_s']:10.1f} tokens/s{share}")
        print()
        for key, title in (("prompt_tokens_per_s", "prompts"), ("tokens_per_s", "answers")):
            ratio(f"{title}: glmflow bf16 against llama.cpp bf16", rates.get("glmflow bf16", {}).get(key), rates.get("llama.cpp bf16", {}).get(key))


if __name__ == "__main__":
    main()
