"""Identities: `space_id` of an embedding space, `bundle_id` of a manifest.

`space_id` alone guards vectors: it covers the canonical fp32 encoder tensors, the architecture and the framing, so that
gated precisions, graph rewrites and engines of one encoder share it. Knows no file formats but bytes and JSON.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bundle.errors import ContractError
from bundle.framing import Framing

ID_HEX_DIGITS = 32
SPACE_PATTERN = r"^sp_[0-9a-f]{32}$"


def space_id(tensors: Mapping[str, NDArray[Any]], architecture: Mapping[str, Any], framing: Framing) -> str:
    """`sp_` + 32 hex digits of an embedding space.

    tensors: the encoder's parameters and buffers by name, float32 (integers, such as counters, are taken as they are);
    their order in the mapping does not matter. architecture: JSON values that shape the encoder, the SAM input size
    included. Raises ContractError on another dtype: an fp16 copy must not get a space of its own.
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = np.asarray(tensors[name])
        if tensor.dtype.newbyteorder("=") != np.float32 and not np.issubdtype(tensor.dtype, np.integer):
            raise ContractError(f"tensor {name} is {tensor.dtype}; a space is named by float32 tensors")
        digest.update(canonical_json([name, tensor.dtype.str[1:], list(tensor.shape)]))
        digest.update(np.ascontiguousarray(tensor, dtype=tensor.dtype.newbyteorder("<")).data)
    digest.update(canonical_json({"architecture": dict(architecture), "framing": framing.to_dict()}))
    return "sp_" + digest.hexdigest()[:ID_HEX_DIGITS]


def bundle_id(manifest: Mapping[str, Any]) -> str:
    """`bd_` + 32 hex digits of a manifest's JSON values; its own `bundle_id` entry does not count."""
    values = {name: value for name, value in manifest.items() if name != "bundle_id"}
    return "bd_" + hashlib.sha256(canonical_json(values)).hexdigest()[:ID_HEX_DIGITS]


def canonical_json(value: Any) -> bytes:
    """One text for one value: sorted keys, no spaces, UTF-8. ContractError on what JSON cannot hold, NaN included."""
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise ContractError(f"cannot be fingerprinted as JSON: {error}") from error
