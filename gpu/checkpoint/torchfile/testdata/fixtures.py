# Writes the .bin files here with torch.save, and expected.json with what is in
# them, from torch's own random numbers. torch 2.15 wrote the files that are
# there; no test runs this.
import collections, json, pathlib, torch

here = pathlib.Path(__file__).parent
g = torch.Generator().manual_seed(7)
draw = lambda *shape: torch.randn(*shape, generator=g)

linear = torch.nn.Sequential(torch.nn.Linear(5, 3), torch.nn.LayerNorm(3))
for p in linear.parameters():
    p.data = draw(*p.shape)

wide = draw(6, 4)
files = {
    "state_dict.bin": linear.state_dict(),  # an OrderedDict with attributes
    "types.bin": {
        "float": draw(2, 3), "half": draw(2, 3).half(), "bfloat16": draw(2, 3).bfloat16(), "double": draw(2, 3).double(),
        "odd": torch.tensor([float("inf"), float("-inf"), 0.0, -0.0, 6e-8, 65504.0]).half(),
        "int8": torch.tensor([-128, -1, 0, 127], dtype=torch.int8), "uint8": torch.tensor([0, 255], dtype=torch.uint8),
        "bool": torch.tensor([True, False]), "int16": torch.tensor([-2], dtype=torch.int16),
        "int32": torch.tensor([-3], dtype=torch.int32), "int64": torch.tensor([2**40]),
        "scalar": torch.tensor(1.5), "empty": torch.zeros(0, 3), "名": torch.nn.Parameter(draw(2)),
    },
    "shared.bin": collections.OrderedDict(whole=wide, rows=wide[2:4], row=wide[5], one=wide[:, 1:2][:1]),
}
expected = {}
for name, tensors in files.items():
    torch.save(tensors, here / name)
    expected[name] = {k: {"shape": list(t.shape), "values": [v if abs(v) != float("inf") else str(v) for v in t.detach().double().reshape(-1).tolist()]} for k, t in tensors.items()}
torch.save(collections.OrderedDict(proto=draw(300)), here / "protocol4.bin", pickle_protocol=4)
torch.save({"ok": draw(2), "turned": draw(2, 3).t()}, here / "not_contiguous.bin")
torch.save({"model": {"w": draw(2)}}, here / "nested.bin")
torch.save({"w": draw(2), "step": 5}, here / "number.bin")
torch.save({"w": draw(2)}, here / "legacy.bin", _use_new_zipfile_serialization=False)
torch.save({"w": torch.zeros(2, dtype=torch.uint16)}, here / "untyped.bin")
class Evil:
    def __reduce__(self): return (__import__("os").system, ("echo run",))
torch.save({"w": Evil()}, here / "evil.bin")
(here / "expected.json").write_text(json.dumps(expected, ensure_ascii=False) + "\n")
