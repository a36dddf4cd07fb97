"""Options that several verbs share."""

from pathlib import Path
from typing import Annotated

import typer

BOOK_HELP = "The codebook, a folder that learn wrote."

Encoding = Annotated[str, typer.Option(help="Encoding of the text, such as gb18030.")]
MaxLine = Annotated[
    str, typer.Option(metavar="SIZE", help="Longest line; a longer one is an error.")
]


def size_of(amount: str, option: str) -> int:
    """Returns a size such as `500MB` in bytes.

    Args:
        amount: What the user wrote.
        option: After which option, for the message.

    Raises:
        typer.BadParameter: It is no size.

    Example:
        >>> size_of("32MB", "--max-line")
        32000000
    """
    from taolu.count.memory import parse_bytes

    try:
        return parse_bytes(amount)
    except ValueError:
        raise typer.BadParameter(
            f"{amount!r} is no size; write 500MB or 2GB.", param_hint=option
        ) from None


def is_model(folder: Path) -> bool:
    """True for a folder that holds a model, perhaps a damaged one; loads no Keras."""
    files = {
        name: (folder / name).is_file() for name in ("config.json", "model.keras", "meta.json")
    }
    return not files["meta.json"] and (files["config.json"] or files["model.keras"])


def load_networks() -> None:
    """Loads Keras and its backend.

    Raises:
        TaoluError: They are not installed; says how to install them.
    """
    from taolu.errors import TaoluError

    try:
        import taolu.nn  # noqa: F401
    except ModuleNotFoundError as error:
        raise TaoluError(
            f"networks need the package {error.name}, which is not installed. "
            'Install taolu with them: pip install "taolu[nn]".'
        ) from None
