# What made trajectories.json: twenty steps of PyTorch 2.15.0's optimizers in float64 on
# weights whose gradient at step s (from 1) is cos(s·i) for weight i (from 1).
import json, math, torch

start = [1.0, -2.0, 0.5, 0.0, 3.0]
cases = [
    ("AdamW", torch.optim.AdamW, dict(lr=0.01, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1)),
    ("AdamW", torch.optim.AdamW, dict(lr=0.05, betas=(0.8, 0.999), eps=1e-3, weight_decay=0.0)),
    ("SGD", torch.optim.SGD, dict(lr=0.1, momentum=0.0, nesterov=False, weight_decay=0.01)),
    ("SGD", torch.optim.SGD, dict(lr=0.05, momentum=0.9, nesterov=False, weight_decay=0.0)),
    ("SGD", torch.optim.SGD, dict(lr=0.05, momentum=0.8, nesterov=True, weight_decay=0.02)),
]
out = []
for name, kind, options in cases:
    w = torch.nn.Parameter(torch.tensor(start, dtype=torch.float64))
    optimizer = kind([w], **options)
    steps = []
    for s in range(1, 21):
        w.grad = torch.tensor([math.cos(s * (i + 1)) for i in range(len(start))], dtype=torch.float64)
        optimizer.step()
        steps.append(w.tolist())
    out.append({"rule": name, **options, "weights": steps})
json.dump(out, open("trajectories.json", "w"), indent=None, separators=(",", ":"))
