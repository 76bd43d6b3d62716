# Writes testdata/torch: one small model with random weights as three kinds of
# directory, a prefix and an adapter, by torch.save and safetensors. torch 2.15
# and safetensors 0.8 wrote what is there; no test runs this.
import collections, json, pathlib, torch
from safetensors.torch import save_file

here = pathlib.Path(__file__).parent / "torch"
g = torch.Generator().manual_seed(3)
L, H, F, A, D, G, V, P = 2, 8, 12, 2, 4, 1, 16, 3
config = dict(model_type="chatglm", num_layers=L, hidden_size=H, ffn_hidden_size=F, num_attention_heads=A, kv_channels=D,
              multi_query_attention=True, multi_query_group_num=G, padded_vocab_size=V, seq_length=32, layernorm_epsilon=1e-5,
              add_qkv_bias=True, torch_dtype="float16")
draw = lambda *shape: torch.randn(*shape, generator=g).half()

t = collections.OrderedDict()
t["transformer.embedding.word_embeddings.weight"] = draw(V, H)
t["transformer.rotary_pos_emb.inv_freq"] = draw(D // 4)
for i in range(L):
    p = f"transformer.encoder.layers.{i}."
    t[p + "input_layernorm.weight"] = draw(H)
    t[p + "self_attention.query_key_value.weight"] = draw((A + 2 * G) * D, H)
    t[p + "self_attention.query_key_value.bias"] = draw((A + 2 * G) * D)
    t[p + "self_attention.dense.weight"] = draw(H, A * D)
    t[p + "post_attention_layernorm.weight"] = draw(H)
    t[p + "mlp.dense_h_to_4h.weight"] = draw(2 * F, H)
    t[p + "mlp.dense_4h_to_h.weight"] = draw(H, F)
t["transformer.encoder.final_layernorm.weight"] = draw(H)
t["transformer.output_layer.weight"] = draw(V, H)

def directory(name, config):
    d = here / name
    d.mkdir(parents=True, exist_ok=True)
    (d / "config.json").write_text(json.dumps(config) + "\n")
    return d

save_file(dict(t), directory("safetensors", config) / "model.safetensors")
torch.save(t, directory("single", config) / "pytorch_model.bin")
sharded = directory("sharded", config)
names = list(t)
cut = names.index("transformer.encoder.layers.1.self_attention.dense.weight")  # a layer is cut across files
weights = {}
for i, part in enumerate((names[:cut], names[cut:])):
    file = f"pytorch_model-0000{i + 1}-of-00002.bin"
    torch.save(collections.OrderedDict((n, t[n]) for n in part), sharded / file)
    weights |= {n: file for n in part}
index = {"metadata": {"total_size": sum(2 * x.numel() for x in t.values())}, "weight_map": weights}
(sharded / "pytorch_model.bin.index.json").write_text(json.dumps(index) + "\n")

prefix = {"transformer.prefix_encoder.embedding.weight": torch.randn(P, 2 * L * G * D, generator=g)}
torch.save(prefix, directory("prefix", config | {"pre_seq_len": P}) / "pytorch_model.bin")
save_file(prefix, directory("prefix_safetensors", config | {"pre_seq_len": P}) / "model.safetensors")

R = 2
adapter = {}
for i in range(L):
    p = f"base_model.model.transformer.encoder.layers.{i}.self_attention.query_key_value."
    adapter[p + "lora_A.weight"], adapter[p + "lora_B.weight"] = torch.randn(R, H, generator=g), torch.randn((A + 2 * G) * D, R, generator=g)
peft = dict(peft_type="LORA", task_type="CAUSAL_LM", r=R, lora_alpha=4, lora_dropout=0.1, target_modules=["query_key_value"], bias="none", fan_in_fan_out=False)
for name, save in (("adapter", lambda d: torch.save(adapter, d / "adapter_model.bin")), ("adapter_safetensors", lambda d: save_file(adapter, d / "adapter_model.safetensors"))):
    d = here / name
    d.mkdir(exist_ok=True)
    (d / "adapter_config.json").write_text(json.dumps(peft) + "\n")
    save(d)
