# What made formats.json: rows of float16 weights, quantised by PyTorch with the
# steps of ChatGLM3's quantization.py in half precision, and the values of NF4 as
# the quantiles that the QLoRA paper derives them from. Run it where torch is
# installed.
import json, statistics
import torch

torch.manual_seed(7)
rows = torch.randn(24, 66, dtype=torch.float32) * torch.logspace(-6, 2, 24)[:, None]
rows[3] = 0
weight = rows.to(torch.float16)
out = {"rows": weight.view(torch.int16).to(torch.int32).bitwise_and(0xFFFF).tolist()}
for bits in (8, 4):
    scale = weight.abs().max(dim=-1).values / ((2 ** (bits - 1)) - 1)
    q = torch.round(weight / scale[:, None])
    q[scale == 0] = 0
    # Where the scale has lost digits the original's cast wraps around; we cut.
    q = q.clamp(-(2 ** (bits - 1)) + 1, 2 ** (bits - 1) - 1)
    q = q.to(torch.int8)
    if bits == 4:
        q = ((q[:, 0::2] & 15) << 4) | (q[:, 1::2] & 15)
    out[f"scale{bits}"] = scale.to(torch.float32).tolist()
    out[f"int{bits}"] = (q.to(torch.int32) & 255).tolist()

inverse = statistics.NormalDist().inv_cdf
offset = 0.9677083
half = lambda n: [inverse(offset + (0.5 - offset) * i / n) for i in range(n)]
values = half(8) + [0.0] + [-v for v in half(7)]
top = max(values)
out["nf4"] = sorted(v / top for v in values)
with open("formats.json", "w") as f:
    json.dump(out, f)
