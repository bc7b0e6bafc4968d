"""Steps of the reference program of bench/train-ref.mjs, one for each line on stdin: prints milliseconds and peak MiB.

usage: train_ref_peer.py train_ref.py TEXT
"""
import json
import resource
import sys
import time

program, text = sys.argv[1:3]
source = open(program).read()
# The definitions of the program without its run.
scope = {"__name__": "peer"}
exec(compile(source[: source.rindex("main()")], program, "exec"), scope)
torch, F, B, T, V = (scope[name] for name in ["torch", "F", "B", "T", "V"])
bytes_ = torch.frombuffer(bytearray(open(text, "rb").read()), dtype=torch.uint8).long()
start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
model = scope["LM"]()
matrices = [p for p in model.parameters() if p.dim() >= 2]
others = [p for p in model.parameters() if p.dim() < 2]
groups = [dict(params=matrices, weight_decay=0.1), dict(params=others, weight_decay=0.0)]
optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.95), eps=1e-8)
print("ready", flush=True)
for line in sys.stdin:
    offsets = torch.randint(0, len(bytes_) - T - 1, (B,)).tolist()
    began, cpu = time.perf_counter(), time.process_time()
    x = torch.stack([bytes_[o : o + T] for o in offsets])
    y = torch.stack([bytes_[o + 1 : o + T + 1] for o in offsets])
    loss = F.cross_entropy(model(x).view(-1, V), y.view(-1))
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    with torch.no_grad():
        for layer in model.model.layers:
            count = layer.mlp.gate.count
            layer.mlp.gate.e_score_correction_bias += 1e-2 * torch.sign(count.mean() - count)
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start) / 1024
    took = {"ms": (time.perf_counter() - began) * 1e3, "cpu": (time.process_time() - cpu) * 1e3, "peak": peak}
    print(json.dumps(took), flush=True)
