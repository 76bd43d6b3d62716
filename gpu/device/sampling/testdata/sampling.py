# Writes sampling.json: what transformers' logits processors make of scores,
# in the order of the original generation loop. Needs torch and transformers
# (5.24 wrote the file that is there); no test runs this.
import json, pathlib, torch
from transformers.generation.logits_process import (
    RepetitionPenaltyLogitsProcessor, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper)

torch.manual_seed(1)
cases = []
for penalty in (1.0, 1.1, 0.8):
    for temperature in (0.3, 0.8, 1.7):
        for k in (0, 5, 20):
            for p in (1.0, 0.8, 0.3):
                scores = torch.round(3 * torch.randn(1, 40) * 1e3) / 1e3
                seen = torch.randint(0, 40, (1, 8))
                steps = []
                if penalty != 1: steps.append(RepetitionPenaltyLogitsProcessor(penalty))
                steps.append(TemperatureLogitsWarper(temperature))
                if k: steps.append(TopKLogitsWarper(k))
                if p < 1: steps.append(TopPLogitsWarper(p))
                out = scores.clone()
                for step in steps: out = step(seen, out)
                probabilities = torch.softmax(out.double(), -1)[0]
                cases.append({
                    "scores": [round(v, 3) for v in scores[0].tolist()], "seen": seen[0].tolist(),
                    "penalty": penalty, "temperature": temperature, "topk": k, "topp": p,
                    "probabilities": {str(i): float(f"{v:.7g}") for i, v in enumerate(probabilities.tolist()) if out[0, i] > -float("inf")},
                })
lines = ",\n".join(json.dumps(c) for c in cases)
pathlib.Path(__file__).with_suffix(".json").write_text("[" + lines + "]\n")
