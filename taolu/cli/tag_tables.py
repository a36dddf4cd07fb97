"""What a tagger does well and what it takes for what, in the terminal."""

import sys
from collections.abc import Mapping
from typing import Any

from taolu.cli.tables import print_table

MOST_CONFUSIONS = 8


def print_tagger(metrics: Mapping[str, Any], title: str) -> None:
    """Prints how a training went, and the scores at its end.

    Args:
        metrics: What `metrics.json` holds.
        title: The line above the scores.
    """
    rows = [
        (
            f"{epoch['epoch']}{' best' if epoch['epoch'] == metrics['best_epoch'] else ''}",
            f"{epoch['loss']:.4f}",
            *(f"{epoch[name]:.4f}" for name in ("precision", "recall", "f1")),
            f"{epoch['seconds']:.0f}",
        )
        for epoch in metrics["epochs"]
    ]
    names = ("epoch", "loss\nnats/character", "precision", "recall", "F1", "seconds")
    print_table("training 训练", names, rows)
    print_spans(metrics["score"], title)


def print_spans(score: Mapping[str, Any], title: str) -> None:
    """Prints precision, recall and F1 of every label, and what was taken for what.

    Args:
        score: The score as plain data, of `metrics.json`.
        title: The line above.
    """
    labels = sorted(score["labels"].items(), key=lambda item: (-item[1]["gold"], item[0]))
    rows = [_row(label, counts) for label, counts in labels if label]
    unseen = score["unseen"]
    rows.append(_row("words" if unseen and not rows else "all", score))
    print_table(title, ("label", "precision", "recall", "F1", "gold", "found"), rows)
    if unseen and not unseen["share"]:
        sys.stdout.write("all words are in the training text\n")
    elif unseen:
        sys.stdout.write(
            f"words not in the training text: {unseen['share']:.2%} of all, recall "
            f"{unseen['recall']:.4f}; the others: {unseen['seen_recall']:.4f}\n"
        )
    mixed = [(gold, found, n) for gold, found, n in score["confusion"] if gold != found]
    mixed = sorted((row for row in mixed if None not in row), key=lambda row: -row[2])
    if mixed:
        listed = ", ".join(f"{gold} as {found} {n}" for gold, found, n in mixed[:MOST_CONFUSIONS])
        sys.stdout.write(f"taken for another: {listed}\n")
    sys.stdout.write(
        f"{score['exact_sentences']:,} of {score['sentences']:,} sentences without a mistake\n"
    )


def _row(name: str, counts: Mapping[str, Any]) -> tuple[str, ...]:
    shares = (f"{counts[key]:.4f}" for key in ("precision", "recall", "f1"))
    return (name, *shares, f"{counts['gold']:,}", f"{counts['found']:,}")
