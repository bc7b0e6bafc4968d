"""The PyTorch twin of a dense mspec model: the same layers, loss, clipping and AdamW, eager, f32, on a CPU.

Usage: twin.py FACTS.json   (facts: vocab, width, layers, heads, kv_heads, head_dim, intermediate, sequence, sequences,
threads, steps). Prints one JSON line per step with its seconds, then one with the memory: peak resident minus resident
before the model was made, in bytes.
"""
import json
import resource
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

facts = json.loads(open(sys.argv[1]).read())
torch.set_num_threads(facts["threads"])
torch.manual_seed(0)


def resident():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * resource.getpagesize()


class RmsNorm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return F.rms_norm(x, (x.shape[-1],), self.weight, 1e-5)


def rotate(x, cos, sin):
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), -1)


class Layer(nn.Module):
    def __init__(self, f):
        super().__init__()
        self.f = f
        width, head = f["width"], f["head_dim"]
        self.norm1, self.norm2 = RmsNorm(width), RmsNorm(width)
        self.q = nn.Linear(width, f["heads"] * head, bias=False)
        self.k = nn.Linear(width, f["kv_heads"] * head, bias=False)
        self.v = nn.Linear(width, f["kv_heads"] * head, bias=False)
        self.out = nn.Linear(f["heads"] * head, width, bias=False)
        self.gate = nn.Linear(width, f["intermediate"], bias=False)
        self.up = nn.Linear(width, f["intermediate"], bias=False)
        self.down = nn.Linear(f["intermediate"], width, bias=False)

    def forward(self, x, cos, sin):
        f = self.f
        b, t, _ = x.shape
        h = self.norm1(x)
        q = rotate(self.q(h).view(b, t, f["heads"], -1).transpose(1, 2), cos, sin)
        k = rotate(self.k(h).view(b, t, f["kv_heads"], -1).transpose(1, 2), cos, sin)
        v = self.v(h).view(b, t, f["kv_heads"], -1).transpose(1, 2)
        o = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=f["heads"] != f["kv_heads"])
        x = x + self.out(o.transpose(1, 2).reshape(b, t, -1))
        h = self.norm2(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


class Twin(nn.Module):
    def __init__(self, f):
        super().__init__()
        self.embedding = nn.Embedding(f["vocab"], f["width"])
        self.layers = nn.ModuleList(Layer(f) for _ in range(f["layers"]))
        self.norm = RmsNorm(f["width"])
        self.head = nn.Linear(f["width"], f["vocab"], bias=False)
        if f["tie_embeddings"]:
            self.head.weight = self.embedding.weight

    def forward(self, tokens, cos, sin):
        x = self.embedding(tokens)
        for layer in self.layers:
            x = layer(x, cos, sin)
        return self.head(self.norm(x))


start = resident()
model = Twin(facts)
for p in model.parameters():
    if p.ndim > 1:
        nn.init.normal_(p, std=0.02)
half = facts["head_dim"] // 2
angles = torch.arange(facts["sequence"])[:, None] * (10000.0 ** (-torch.arange(half) / half))[None]
cos, sin = angles.cos(), angles.sin()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1)
tokens = torch.randint(0, facts["vocab"], (facts["sequences"], facts["sequence"]))
targets = tokens.roll(-1, 1)
print("ready", flush=True)
peak = start
for _ in sys.stdin:
    began, cpu = time.perf_counter(), time.process_time()
    logits = model(tokens, cos, sin)
    loss = F.cross_entropy(logits.view(-1, facts["vocab"]), targets.view(-1))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    peak = max(peak, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    print(json.dumps({"seconds": seconds, "cpu": cpu, "loss": loss.item(), "memory": peak - start}), flush=True)
