"""A safetensors file: shapes and values without torch.

Format: 8 bytes little-endian length, a JSON header of that length, the data.
"""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from so101_node.error import UserError
from so101_policy import json_object

_TYPES = {'F64': np.float64, 'F32': np.float32, 'F16': np.float16, 'I64': np.int64}


class TensorFile:
    """`shapes`: the shape of each tensor by name. Values are read when they are asked for."""

    def __init__(self, path: Path) -> None:
        """Read the header. UserError when the file's size is not what its header says."""
        json_object.require(path)
        self.path = path
        size = path.stat().st_size
        with path.open('rb') as file:
            length = int.from_bytes(file.read(8), 'little')
            text = file.read(length) if length <= size - 8 else b''
        try:
            header = json.loads(text)
            header.pop('__metadata__', None)
            end = max((tensor['data_offsets'][1] for tensor in header.values()), default=0)
            self.shapes = {name: list(tensor['shape']) for name, tensor in header.items()}
            self._types = {name: str(tensor['dtype']) for name, tensor in header.items()}
            self._bounds = {name: tuple(t['data_offsets']) for name, t in header.items()}
        except (ValueError, AttributeError, KeyError, TypeError, IndexError) as error:
            raise UserError(
                f'{path}: not a whole safetensors file ({size} bytes); copy it again'
            ) from error
        if size != 8 + length + end:
            raise UserError(
                f'{path}: {size} bytes, its header says {8 + length + end}: '
                'the file is truncated; copy it again'
            )
        self._data = 8 + length

    def values(self, name: str) -> NDArray[np.float64]:
        """Return a tensor of `shapes` as numbers, flat. UserError for a type without numbers."""
        start, end = self._bounds[name]
        with self.path.open('rb') as file:
            file.seek(self._data + start)
            content = file.read(end - start)
        kind = self._types[name]
        if kind == 'BF16':  # the upper half of a float32
            halves = np.frombuffer(content, '<u2').astype('<u4') << 16
            return halves.view('<f4').astype(np.float64)
        if kind not in _TYPES:
            raise UserError(
                f'{self.path}: {name} is of type {kind}, expected '
                f'{", ".join([*_TYPES, "BF16"])}; save the checkpoint in one of these'
            )
        return np.frombuffer(content, np.dtype(_TYPES[kind]).newbyteorder('<')).astype(np.float64)
