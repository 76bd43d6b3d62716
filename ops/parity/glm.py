"""The second opinion: GlmForCausalLM of transformers, with the weights of a
ChatGLM3. GLM-4's network is ChatGLM3's with other names: queries, keys and
values apart, the feed-forward fused with the gate first, the first half of every
head rotated in adjacent pairs, the same norms. So the mapping is exact.
"""

import torch
from torch.func import functional_call
from transformers import GlmConfig, GlmForCausalLM

from chatglm3 import ADAPTER, groups


def build(c):
    model = GlmForCausalLM(GlmConfig(
        vocab_size=c["padded_vocab_size"], hidden_size=c["hidden_size"], intermediate_size=c["ffn_hidden_size"],
        num_hidden_layers=c["num_layers"], num_attention_heads=c["num_attention_heads"], num_key_value_heads=groups(c),
        head_dim=c["kv_channels"], max_position_embeddings=c["seq_length"], rms_norm_eps=c["layernorm_epsilon"],
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0 * c["rope_ratio"], "partial_rotary_factor": 0.5},
        attention_bias=c["add_qkv_bias"], tie_word_embeddings=False, use_cache=False,
        pad_token_id=None, eos_token_id=2,  # a padding id would get no gradient
        attn_implementation="sdpa",
    ))
    return model.eval()


def mapped(c, w, alpha):
    """w, a ChatGLM3's tensors, under GLM's names. Adapters are added to their weights, which gives the same gradients."""
    q, kv = c["num_attention_heads"] * c["kv_channels"], groups(c) * c["kv_channels"]

    def weight(path):
        a, b = (w.get(f"{ADAPTER}{path}.lora_{m}.weight") for m in "AB")
        base = w[path + ".weight"]
        return base if a is None else base + alpha / a.shape[0] * (b @ a)

    out = {
        "model.embed_tokens.weight": w["transformer.embedding.word_embeddings.weight"],
        "model.norm.weight": w["transformer.encoder.final_layernorm.weight"],
        "lm_head.weight": w["transformer.output_layer.weight"],
    }
    for i in range(c["num_layers"]):
        ours, theirs = f"transformer.encoder.layers.{i}.", f"model.layers.{i}."
        for kind in ("weight", "bias") if c["add_qkv_bias"] else ("weight",):
            fused = weight(ours + "self_attention.query_key_value") if kind == "weight" else w[ours + "self_attention.query_key_value.bias"]
            for name, part in zip("qkv", fused.split((q, kv, kv))):
                out[f"{theirs}self_attn.{name}_proj.{kind}"] = part
        out[theirs + "self_attn.o_proj.weight"] = weight(ours + "self_attention.dense")
        out[theirs + "mlp.gate_up_proj.weight"] = weight(ours + "mlp.dense_h_to_4h")
        out[theirs + "mlp.down_proj.weight"] = weight(ours + "mlp.dense_4h_to_h")
        for norm in ("input_layernorm", "post_attention_layernorm"):
            out[f"{theirs}{norm}.weight"] = w[f"{ours}{norm}.weight"]
    return out


class Glm:
    """Looks like a chatglm3.ChatGLM3 whose tensors are w."""

    def __init__(self, c, w, alpha):
        self.c, self.w, self.alpha, self.model = c, w, alpha, build(c)

    def tensors(self):
        return self.w

    def __call__(self, ids):
        return functional_call(self.model, mapped(self.c, self.w, self.alpha), (), {"input_ids": ids}).logits
