"""Word vectors from the company of words: what they end at, neighbours, analogies, unseen words.

python examples/word2vec.py

First the law: the product of an input and an output vector ends at PMI - log k. Then a made text
about eight countries, read by skip-gram, CBOW, hierarchical softmax and the table of PMI itself.
"""

import math
import tempfile
from pathlib import Path

import numpy as np

from taolu.mine.pmi_vectors import count_pairs_within, pmi_vectors
from taolu.mine.subwords import Subwords
from taolu.mine.token_stream import read_tokens
from taolu.mine.word2vec import Settings, train_tables, word2vec
from taolu.mine.word_vectors import WordVectors

FACTS = """法国 巴黎 法语 葡萄酒
日本 东京 日语 寿司
德国 柏林 德语 香肠
俄国 莫斯科 俄语 伏特加
泰国 曼谷 泰语 榴莲
埃及 开罗 阿语 椰枣
韩国 首尔 韩语 泡菜
希腊 雅典 希语 橄榄"""
SENTENCES = """0 的 首都 是 1
1 位于 0 是 一座 首都 城市
0 人 说 2
在 0 学 2 很 方便
0 出产 3
来自 0 的 3 很 好吃
1 的 街头 有人 说 2
在 1 吃 3"""


def made_text(sentences: int, seed: int = 0) -> list[list[str]]:
    rng = np.random.default_rng(seed)
    facts = [line.split() for line in FACTS.splitlines()]
    plans = [line.split() for line in SENTENCES.splitlines()]
    found = []
    for _ in range(sentences):
        fact, plan = facts[rng.integers(len(facts))], plans[rng.integers(len(plans))]
        found.append([fact[int(part)] if part.isdigit() else part for part in plan])
    return found


def the_law() -> None:
    names = "天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏闰余成岁律吕"
    rng = np.random.default_rng(0)
    likes = np.exp(rng.standard_normal((len(names), len(names))))
    drawn = rng.choice(likes.size, 100_000, p=(likes / likes.sum()).ravel())
    stream = read_tokens(
        [[names[a], names[b]] for a, b in zip(*divmod(drawn, len(names)), strict=True)]
    )
    plain = {"window": 1, "sample": 0, "noise_power": 1.0, "negative": 2, "end_rate": 1e-5}
    tables, _, _ = train_tables(stream, Settings(width=32, epochs=10, **plain))
    pairs = count_pairs_within(stream, 1).toarray()
    uses = pairs.sum(axis=1)
    law = np.log(pairs * uses.sum() / np.outer(uses, uses)) - math.log(2)
    product = tables.inputs @ tables.outputs.T
    print("PMI - log 2 and the product of two vectors")
    for a in range(4):
        cells = (f"{law[a, b]:6.2f} {product[a, b]:6.2f}" for b in range(4, 8))
        print(f"{stream.words[a]}  {'   '.join(cells)}")
    print(f"correlation of all {law.size}: {np.corrcoef(law.ravel(), product.ravel())[0, 1]:.3f}")


def main() -> None:
    the_law()
    text = made_text(3000)
    plain = {"width": 16, "epochs": 20, "rate": 0.1, "sample": 0}
    tools: dict[str, WordVectors] = {
        "skip-gram": word2vec(text, **plain),
        "CBOW": word2vec(text, cbow=True, **plain),
        "tree": word2vec(text, negative=0, hierarchical=True, **plain),
        "PMI": pmi_vectors(text, width=16),
    }
    facts = [line.split() for line in FACTS.splitlines()]
    asked = [(a[0], a[k], b[0], b[k]) for a in facts for b in facts if a != b for k in (1, 2, 3)]
    print(f"\n           right of {len(asked)} like 法国 : 巴黎 = 日本 : ?    near 巴黎")
    for name, found in tools.items():
        right = sum(found.analogy(*ask[:3], top=1)[0][0] == ask[3] for ask in asked)
        near = " ".join(word for word, _ in found.most_similar("巴黎", top=3))
        print(f"{name:<10} {right:>41}    {near}")

    pieces = word2vec(text, subwords=Subwords(most=2), **plain)
    near = " ".join(word for word, _ in pieces.most_similar("英语", top=3))
    print(f"\nunseen word 英语, from its pieces: near {near}")
    with tempfile.TemporaryDirectory() as folder:
        tools["skip-gram"].save(Path(folder) / "vectors.txt")
        again = WordVectors.load(Path(folder) / "vectors.txt")
        print(f"saved as text and read again: {len(again)} words of {again.width} numbers")


if __name__ == "__main__":
    main()
