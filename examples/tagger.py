"""A tagger from end to end: made sentences, a model folder, spans with offsets, nested ones too.

    python examples/tagger.py

A CRF spells spans with one tag for each character, so of two that overlap it can learn one only. A
span head scores every start and end, and finds the place inside the name of the school as well.
"""

import json
import tempfile
from itertools import product
from pathlib import Path

from taolu.tasks import Tagger, TagSettings, train_tagger
from taolu.text.corpus import Corpus
from taolu.text.tagged import read_tagged

NAMES = ("小明", "王小红", "李", "赵大力")
PLACES = ("北京", "上海", "南京", "乌鲁木齐")
SCHOOLS = ("大学", "师范学院", "中学")


def record(name, place, school):
    """A sentence as annotators write it: the place lies inside the school."""
    text = f"{name}在{place}{school}读书。"
    start = len(name) + 1
    spans = [
        (0, len(name), "PER"),
        (start, start + len(place), "LOC"),
        (start, start + len(place + school), "ORG"),
    ]
    entities = [{"start": i, "end": j, "label": label} for i, j, label in spans]
    return json.dumps({"text": text, "entities": entities}, ensure_ascii=False)


def main():
    lines = [record(*parts) for parts in product(NAMES, PLACES, SCHOOLS)]
    data = read_tagged(Corpus.from_lines(lines))
    print(data)
    text = "小明在南京大学读书。"
    for head in ("crf", "pointer"):
        settings = TagSettings(
            head=head,
            width=32,
            depth=2,
            epochs=12,
            patience=12,
            batch_characters=256,
            learning_rate=0.01,
        )
        with tempfile.TemporaryDirectory() as folder:
            train_tagger(data, Path(folder) / "school.model", settings=settings)
            tagger = Tagger.load(Path(folder) / "school.model")
        [spans] = tagger.predict([text])
        found = [f"{text[s.start : s.stop]}/{s.label}@{s.start}" for s in spans]
        print(f"{head}: F1 {tagger.metrics['score']['f1']:.2f} held out; {'  '.join(found)}")


if __name__ == "__main__":
    main()
