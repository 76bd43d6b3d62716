"""Writes a ChatGLM3 directory without a vocabulary as GGUF in bfloat16 for llama.cpp.

The layout is GGUF version 3 (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
Its tokens have no meaning: they only fill the vocabulary.
"""

import json
import struct
import sys
from pathlib import Path

import torch
from safetensors import safe_open

U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9  # types of metadata
TENSOR_F32, TENSOR_BF16 = 0, 30
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6  # types of tokens
ALIGNMENT = 32

NAMES = {
    "transformer.embedding.word_embeddings": "token_embd",
    "transformer.encoder.final_layernorm": "output_norm",
    "transformer.output_layer": "output",
    "input_layernorm": "attn_norm",
    "self_attention.query_key_value": "attn_qkv",
    "self_attention.dense": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.dense_h_to_4h": "ffn_up",
    "mlp.dense_4h_to_h": "ffn_down",
}


def text(s):
    b = s.encode()
    return struct.pack("<Q", len(b)) + b


def value(kind, v):
    if kind == STRING:
        return text(v)
    return struct.pack({U32: "<I", I32: "<i", F32: "<f", BOOL: "<?"}[kind], v)


def array(kind, values):
    return struct.pack("<IQ", kind, len(values)) + b"".join(value(kind, v) for v in values)


def tokens(n):
    """Texts, scores and types of n tokens: the control ones, the bytes, and words without meaning."""
    texts = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    texts += [f"▁w{i}" for i in range(n - len(texts))]
    kinds = [UNKNOWN, CONTROL, CONTROL] + [BYTE] * 256 + [NORMAL] * (n - 259)
    return texts[:n], [float(-i) for i in range(n)], kinds[:n]


def metadata(c):
    """Key, type and value of everything that llama.cpp reads."""
    v, d = c["padded_vocab_size"], c["kv_channels"]
    groups = c["multi_query_group_num"] if c["multi_query_attention"] else c["num_attention_heads"]
    texts, scores, kinds = tokens(v)
    plain = [
        ("general.architecture", STRING, "chatglm"), ("general.name", STRING, "random"), ("general.file_type", U32, 32),
        ("general.quantization_version", U32, 2),
        ("chatglm.context_length", U32, c["seq_length"]), ("chatglm.embedding_length", U32, c["hidden_size"]),
        ("chatglm.feed_forward_length", U32, c["ffn_hidden_size"]), ("chatglm.block_count", U32, c["num_layers"]),
        ("chatglm.attention.head_count", U32, c["num_attention_heads"]), ("chatglm.attention.head_count_kv", U32, groups),
        ("chatglm.attention.key_length", U32, d), ("chatglm.attention.value_length", U32, d),
        ("chatglm.attention.layer_norm_rms_epsilon", F32, c["layernorm_epsilon"]),
        ("chatglm.rope.dimension_count", U32, d // 2), ("chatglm.rope.freq_base", F32, 10000.0 * c.get("rope_ratio", 1)),
        ("tokenizer.ggml.model", STRING, "llama"), ("tokenizer.ggml.pre", STRING, "chatglm-spm"),
        ("tokenizer.ggml.eos_token_id", U32, 2), ("tokenizer.ggml.padding_token_id", U32, 0), ("tokenizer.ggml.add_bos_token", BOOL, False),
    ]
    out = [text(key) + struct.pack("<I", kind) + value(kind, v) for key, kind, v in plain]
    for key, kind, values in (("tokens", STRING, texts), ("scores", F32, scores), ("token_type", I32, kinds)):
        out.append(text("tokenizer.ggml." + key) + struct.pack("<I", ARRAY) + array(kind, values))
    return out


def renamed(name):
    """llama.cpp's name of one of ChatGLM3's tensors, None for those it has no use for."""
    path, _, kind = name.rpartition(".")
    if path in NAMES:
        return f"{NAMES[path]}.{kind}"
    layers = "transformer.encoder.layers."
    if not path.startswith(layers):
        return None
    number, _, part = path[len(layers) :].partition(".")
    return f"blk.{number}.{NAMES[part]}.{kind}"


def convert(model, path):
    c = json.loads((model / "config.json").read_text())
    with open(path, "wb") as out:
        found = []  # file, name in it, name in GGUF, shape
        for file in sorted(model.glob("*.safetensors")):
            with safe_open(file, "pt") as f:
                found += [(file, n, renamed(n), f.get_slice(n).get_shape()) for n in f.keys() if renamed(n)]
        keys = metadata(c)
        head = b"GGUF" + struct.pack("<IQQ", 3, len(found), len(keys)) + b"".join(keys)
        offset = 0
        for _, _, name, shape in found:
            matrix = len(shape) == 2  # norms and biases stay in float32
            head += text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *reversed(shape))
            head += struct.pack("<IQ", TENSOR_BF16 if matrix else TENSOR_F32, offset)
            size = torch.Size(shape).numel() * (2 if matrix else 4)
            offset += (size + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
        out.write(head.ljust((len(head) + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT, b"\0"))
        for file, n, _, shape in found:
            with safe_open(file, "pt") as f:
                t = f.get_tensor(n)
            b = (t.bfloat16().view(torch.int16) if len(shape) == 2 else t.float()).numpy().tobytes()
            out.write(b.ljust((len(b) + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT, b"\0"))


if __name__ == "__main__":
    convert(Path(sys.argv[1]), sys.argv[2])
