"""ChatGLM3 in PyTorch, written from its description, for comparison with glmflow.

Tensors are named as in the official checkpoint, so that `state_dict()` is the
content of model.safetensors. Shapes in comments: B sequences of T tokens, H
hidden width, A query heads, G key/value heads, D head width, F feed-forward
width, V vocabulary.
"""

import torch
from torch import nn
from torch.nn import functional as F

ADAPTER = "base_model.model."  # what PEFT puts before the name of an adapter's tensor
PREFIX = "transformer.prefix_encoder.embedding.weight"  # keys and values before every sequence


def settings(**changed):
    """config.json of a small model, with the given fields changed."""
    return {
        "num_layers": 3, "hidden_size": 64, "ffn_hidden_size": 96, "num_attention_heads": 4, "kv_channels": 16,
        "multi_query_attention": True, "multi_query_group_num": 2, "padded_vocab_size": 512, "seq_length": 512,
        "layernorm_epsilon": 1e-5, "add_qkv_bias": True, "rope_ratio": 1,
        "model_type": "chatglm", "rmsnorm": True, "post_layer_norm": True, "add_bias_linear": False,
        "apply_residual_connection_post_layernorm": False, "original_rope": True, "tie_word_embeddings": False,
    } | changed


def groups(c):
    return c["multi_query_group_num"] if c["multi_query_attention"] else c["num_attention_heads"]


def turns(c, positions):
    """cos and sin [T,D/4] of the rotary angles, in float32 as the original computes them."""
    rotated = c["kv_channels"] // 2
    frequency = 1.0 / (10000.0 * c["rope_ratio"]) ** (torch.arange(0, rotated, 2, dtype=torch.float32) / rotated)
    angle = torch.outer(positions.float(), frequency)
    return angle.cos(), angle.sin()


def rotate(x, cos, sin):
    """Turns the adjacent pairs of the first half of each head of x [B,heads,T,D]."""
    half = x.shape[-1] // 2
    even, odd = x[..., 0:half:2], x[..., 1:half:2]
    turned = torch.stack((even * cos - odd * sin, odd * cos + even * sin), dim=-1).flatten(-2)
    return torch.cat((turned, x[..., half:]), dim=-1)


class Adapted(nn.Linear):
    """A linear layer that may have a LoRA branch beside it."""

    scale = 0.0

    def adapt(self, rank, alpha):
        self.scale = alpha / rank
        self.lora_A = nn.Linear(self.in_features, rank, bias=False)
        self.lora_B = nn.Linear(rank, self.out_features, bias=False)

    def forward(self, x):
        y = super().forward(x)
        return y + self.scale * self.lora_B(self.lora_A(x)) if self.scale else y


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.a, self.g, self.d = c["num_attention_heads"], groups(c), c["kv_channels"]
        self.query_key_value = Adapted(c["hidden_size"], (self.a + 2 * self.g) * self.d, bias=c["add_qkv_bias"])
        self.dense = Adapted(self.a * self.d, c["hidden_size"], bias=False)

    def forward(self, x, cos, sin, before=None):
        """before, optional, is keys and values [N,2,G,D] that stand before the sequence: not rotated, seen by all."""
        b, t, _ = x.shape
        heads = self.query_key_value(x).view(b, t, self.a + 2 * self.g, self.d).transpose(1, 2)
        q, k, v = heads.split((self.a, self.g, self.g), dim=1)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        v, seen = v.to(q.dtype), None
        if before is not None:
            first_k, first_v = before.to(q.dtype).permute(1, 2, 0, 3).unsqueeze(1).expand(2, b, -1, -1, -1)
            k, v = torch.cat((first_k, k), dim=2), torch.cat((first_v, v), dim=2)
            seen = torch.ones(t, k.shape[2], dtype=torch.bool).tril(len(before))
        o = F.scaled_dot_product_attention(q, k, v, attn_mask=seen, is_causal=seen is None, enable_gqa=self.a != self.g)
        return self.dense(o.transpose(1, 2).reshape(b, t, self.a * self.d))


class MLP(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.dense_h_to_4h = Adapted(c["hidden_size"], 2 * c["ffn_hidden_size"], bias=False)
        self.dense_4h_to_h = Adapted(c["ffn_hidden_size"], c["hidden_size"], bias=False)

    def forward(self, x):
        gate, up = self.dense_h_to_4h(x).chunk(2, dim=-1)
        return self.dense_4h_to_h(F.silu(gate) * up)


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        norm = lambda: nn.RMSNorm(c["hidden_size"], eps=c["layernorm_epsilon"])
        self.input_layernorm, self.self_attention = norm(), Attention(c)
        self.post_attention_layernorm, self.mlp = norm(), MLP(c)

    def forward(self, x, cos, sin, before=None):
        x = x + self.self_attention(self.input_layernorm(x), cos, sin, before)
        return x + self.mlp(self.post_attention_layernorm(x))


class ChatGLM3(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        h, v = c["hidden_size"], c["padded_vocab_size"]
        self.transformer = nn.ModuleDict({
            "embedding": nn.ModuleDict({"word_embeddings": nn.Embedding(v, h)}),
            "encoder": nn.ModuleDict({
                "layers": nn.ModuleList(Layer(c) for _ in range(c["num_layers"])),
                "final_layernorm": nn.RMSNorm(h, eps=c["layernorm_epsilon"]),
            }),
            "output_layer": nn.Linear(h, v, bias=False),
        })

    def forward(self, ids):
        """Scores [B,T,V] of ids [B,T]."""
        t = self.transformer
        x = t["embedding"]["word_embeddings"](ids)
        cos, sin = (table.to(x.dtype) for table in turns(self.c, torch.arange(ids.shape[1])))
        for i, layer in enumerate(t["encoder"]["layers"]):
            x = layer(x, cos, sin, None if self.prefix is None else self.prefix[:, i])
        return t["output_layer"](t["encoder"]["final_layernorm"](x))

    @property
    def prefix(self):
        """Keys and values of all layers, [N,L,2,G,D], or None."""
        if not hasattr(self, "table"):
            return None
        return self.table.view(len(self.table), self.c["num_layers"], 2, groups(self.c), self.c["kv_channels"])

    def prepend(self, tokens):
        """Puts so many trained positions before every sequence."""
        self.table = nn.Parameter(torch.zeros(tokens, self.c["num_layers"] * 2 * groups(self.c) * self.c["kv_channels"]))

    def adapt(self, rank, alpha, targets):
        """Puts LoRA branches beside the linears whose last name is in targets and freezes the rest."""
        self.requires_grad_(False)
        for name, module in list(self.named_modules()):
            if isinstance(module, Adapted) and name.rsplit(".", 1)[-1] in targets:
                module.adapt(rank, alpha)

    def tensors(self):
        """Names as glmflow has them, and the parameters."""
        return {PREFIX if n == "table" else (ADAPTER if ".lora_" in n else "") + n: p for n, p in self.named_parameters()}


def randomize(model, seed):
    """Weights like a trained model's: attention is far from uniform, no gradient is near zero, and no
    difference grows from layer to layer, so that what is left of it is rounding."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in sorted(model.named_parameters()):
            noise = torch.randn(p.shape, generator=g, dtype=torch.float32)
            if "word_embeddings" in name or name == "table":
                p.copy_(noise)
            elif p.dim() == 2:
                p.copy_((0.1 if "lora_B" in name else 0.7) * noise / p.shape[1] ** 0.5)
            elif name.endswith("bias"):
                p.copy_(0.1 * noise)
            else:
                p.copy_(1 + 0.1 * noise)


def nll(scores, labels):
    """Sum of −log p over the labels that are not negative, and their number; the labels are shifted here."""
    wanted = labels[..., 1:]
    wanted = torch.where(wanted < 0, torch.full_like(wanted, -100), wanted)
    loss = F.cross_entropy(scores[..., :-1, :].flatten(0, -2), wanted.flatten(), ignore_index=-100, reduction="sum")
    return loss, int((wanted >= 0).sum())
