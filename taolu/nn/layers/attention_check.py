"""The door of `Attention`: what does not fit is told here, in one sentence, before it computes."""

from keras import ops


def check_form(layer) -> None:
    """Raises a ValueError unless the arguments of an `Attention` fit together."""
    for name in ("heads", "head_width", "value_width", "key_value_heads", "output_width"):
        value = getattr(layer, name)
        if value is not None and value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}.")
    if layer.key_value_heads is not None and layer.heads % layer.key_value_heads:
        raise ValueError(
            "`key_value_heads` must divide `heads`. "
            f"Received: key_value_heads={layer.key_value_heads}, heads={layer.heads}."
        )
    if not 0 <= layer.dropout < 1:
        raise ValueError(f"`dropout` must lie in [0, 1). Received: dropout={layer.dropout}.")
    if layer.log_length is not None and layer.log_length < 2:
        raise ValueError(
            f"`log_length` must be at least 2. Received: log_length={layer.log_length}."
        )
    if layer.flash_attention and layer.dropout:
        raise ValueError(
            "`flash_attention` cannot drop probabilities; leave it None or set `dropout=0`. "
            f"Received: flash_attention=True, dropout={layer.dropout}."
        )


def check_rank(name: str, shape) -> None:
    """Raises a ValueError unless the shape is that of a sequence of vectors."""
    if len(shape) != 3:
        raise ValueError(
            f"`{name}` must have the shape (batch, time, width). Received: {tuple(shape)}."
        )


def check_positions(positions, time):
    """Positions as a tensor; raises a ValueError unless they are one per step."""
    positions = ops.convert_to_tensor(positions)
    if len(positions.shape) not in (1, 2) or positions.shape[-1] not in (None, time):
        raise ValueError(
            f"`positions` must be (time,) or (batch, time) with {time} steps. "
            f"Received: shape {tuple(positions.shape)}."
        )
    return positions


def check_call(layer, inputs, memory, memory_mask, cache, cache_index) -> None:
    """Raises a ValueError unless the keys of a call are well defined."""
    check_rank("inputs", inputs.shape)
    if memory is not None:
        check_rank("memory", memory.shape)
    if cache is None and cache_index is not None:
        raise ValueError(f"`cache_index` needs a `cache`. Received: cache_index={cache_index}.")
    if memory is None and cache is None and memory_mask is not None:
        raise ValueError(
            "`memory_mask` needs a `memory` or a `cache`; `mask` masks the inputs. "
            f"Received: memory_mask of shape {tuple(memory_mask.shape)} alone."
        )
    if cache is not None:
        _check_cache(layer, inputs.shape[1], memory, cache, cache_index)
    if memory is None and (cache is None or cache_index is not None):
        return
    for name in ("position", "pattern"):
        if getattr(layer, name) is not None:
            raise ValueError(
                f"`{name}` needs self-attention: distance means nothing between two texts. "
                f"Received: {name}={getattr(layer, name)} and other keys than the inputs."
            )


def _check_cache(layer, steps, memory, cache, index):
    if memory is not None:
        raise ValueError(
            "`memory` and `cache` exclude each other; `project_memory` makes a cache of a memory. "
            f"Received: both, memory of shape {tuple(memory.shape)}."
        )
    key, value = layer.cache_shapes(None, None)
    if len(cache) != 2 or [tuple(x.shape[2:]) for x in cache] != [key[2:], value[2:]]:
        raise ValueError(
            f"`cache` must be keys (batch, length, {key[2]}, {key[3]}) and values (batch, length, "
            f"{value[2]}, {value[3]}). Received: {[tuple(x.shape) for x in cache]}."
        )
    length = cache[0].shape[1]
    if isinstance(index, int) and not 0 <= index <= length - steps:
        raise ValueError(
            f"`cache_index` must leave room for {steps} steps in a cache of {length}. "
            f"Received: cache_index={index}."
        )
