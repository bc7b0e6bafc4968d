"""PyTorch's matmul on request: `ready`, then for each line `m n k` one JSON line with the median seconds of one thread."""
import json
import sys
import time

import torch

torch.set_num_threads(1)
print("ready", flush=True)
for line in sys.stdin:
    m, n, k = map(int, line.split())
    a, b = torch.randn(m, k), torch.randn(n, k)
    times = []
    for i in range(12):
        start = time.process_time()
        torch.nn.functional.linear(a, b)
        times.append(time.process_time() - start)
    print(json.dumps({"cpu": sorted(times[2:])[5]}), flush=True)
