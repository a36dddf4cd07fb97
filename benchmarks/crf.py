"""What do the sums and the best path of a CRF cost, beside pytorch-crf?

    python benchmarks/crf.py [--repeat 20] [--peer PYTHON]

Batches of 64 sequences of 64 to 128 steps, 7 and 64 tags: loss and its gradients by scores and
weights, and the best paths, each compiled where the backend compiles; on one thread, the fastest
of the repeats. `MEMM` is the loss of the bidirectional MEMM, which sums over no paths. The
peer runs in another Python, one that has torch and pytorch-crf, on the same numbers, in turns with
ours: both must give the same loss and paths, which is checked first.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

BATCH, TIME, STATES = 64, 128, (7, 64)
TABLES = ("transitions", "start", "end")


def sample(states: int, steps: int = TIME) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(states)
    lengths = rng.integers(steps // 2, steps + 1, size=BATCH)
    lengths[0] = steps
    shapes = {"transitions": (states, states), "start": (states,), "end": (states,)}
    return {
        "scores": rng.normal(size=(BATCH, steps, states)).astype("float32"),
        "labels": rng.integers(states, size=(BATCH, steps)).astype("int32"),
        "mask": np.arange(steps) < lengths[:, None],
        **{name: 0.1 * rng.normal(size=shapes[name]).astype("float32") for name in TABLES},
    }


def fastest(run, repeat: int) -> float:
    """Milliseconds."""
    run()
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def ours(data: dict[str, np.ndarray]):
    """Functions of no argument by name, each with an answer."""
    from taolu.nn.differentiate import override, value_and_grad, without_gradients
    from taolu.nn.layers import CRF, MEMM

    import keras  # isort: skip
    from keras import ops

    crf, memm = CRF(), MEMM(bidirectional=True)
    for head in (crf, memm):
        head.build(data["scores"].shape)
    crf.assign(*[data[name] for name in TABLES])
    scores, labels, mask = (ops.convert_to_tensor(data[x]) for x in ("scores", "labels", "mask"))

    def step(head):
        def loss(values):
            with override(list(zip(head.trainable_variables, values[1:], strict=True))):
                return ops.mean(head.loss(labels, values[0], mask))

        run = compiled(lambda values: value_and_grad(loss, values), keras.backend.backend())
        values = [scores, *[ops.convert_to_tensor(v) for v in head.trainable_variables]]

        def once():
            with without_gradients():
                return np.asarray(ops.convert_to_numpy(run(values)[0]))

        return once

    run = compiled(lambda scores: crf.decode(scores, mask), keras.backend.backend())

    def decode():
        with without_gradients():
            return np.asarray(ops.convert_to_numpy(run(scores)))

    return {"loss and gradient": step(crf), "best path": decode, "MEMM": step(memm)}


def compiled(function, backend: str):
    if backend == "jax":
        import jax

        return jax.jit(function)
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.function(function)
    return function


def theirs(data: dict[str, np.ndarray]):
    import torch
    import torchcrf

    torch.set_num_threads(1)
    crf = torchcrf.CRF(data["scores"].shape[-1], batch_first=True)
    weights = crf.transitions, crf.start_transitions, crf.end_transitions
    with torch.no_grad():
        for weight, name in zip(weights, TABLES, strict=True):
            weight.copy_(torch.tensor(data[name]))
    scores = torch.tensor(data["scores"], requires_grad=True)
    labels, mask = torch.tensor(data["labels"]).long(), torch.tensor(data["mask"])

    def step():
        loss = -crf(scores, labels, mask=mask, reduction="mean")
        torch.autograd.grad(loss, [scores, *weights])
        return loss.detach().numpy()

    def decode():
        with torch.no_grad():
            return [path + [-1] * (TIME - len(path)) for path in crf.decode(scores, mask=mask)]

    return {"loss and gradient": step, "best path": decode}


def measure(make, repeat: int) -> list:
    """Rows of states, name, milliseconds, answer."""
    rows = []
    for states in STATES:
        for name, run in make(sample(states)).items():
            rows.append([states, name, fastest(run, repeat), np.asarray(run()).tolist()])
    return rows


def of_peer(python: str, repeat: int) -> list:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "peer.json")
        command = [python, __file__, "--repeat", str(repeat), "--as-peer", str(out)]
        subprocess.run(command, check=True)
        return json.loads(out.read_text())


def agree(one, other) -> bool:
    a, b = np.asarray(one), np.asarray(other)
    return np.allclose(a, b, rtol=1e-5) if a.ndim == 0 else (a == b).mean() > 0.999


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=20)
    parser.add_argument("--peer", help="a Python that has torch and pytorch-crf")
    parser.add_argument("--as-peer", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.as_peer:
        rows = measure(theirs, options.repeat)
        Path(options.as_peer).write_text(json.dumps(rows))
        return
    rows = measure(ours, options.repeat)
    found = {}
    if options.peer:  # before and after, as machines are busy
        turns = [of_peer(options.peer, options.repeat // 2 + 1)]
        rows = [
            min(pair, key=lambda row: row[2])
            for pair in zip(rows, measure(ours, options.repeat), strict=True)
        ]
        turns.append(of_peer(options.peer, options.repeat // 2 + 1))
        found = {
            tuple(a[:2]): min(a, b, key=lambda row: row[2]) for a, b in zip(*turns, strict=True)
        }
    print(f"{'tags':>4} {'':20} {'ours, ms':>9} {'pytorch-crf, ms':>16} {'times':>6}")
    for states, name, ms, answer in rows:
        line = f"{states:4} {name:20} {ms:9.2f}"
        peer = found.get((states, name))
        if peer:
            if not agree(answer, peer[3]):
                sys.exit(f"{name}, {states} tags: the answers differ")
            line += f" {peer[2]:16.1f} {peer[2] / ms:6.1f}"
        print(line)


if __name__ == "__main__":
    main()
