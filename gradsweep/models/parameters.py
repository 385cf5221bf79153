"""How many parameters a model has: as its option says, or by the headers of its files.

No weight is read, and neither torch nor transformers is imported: a plan asks for every model.
`--help` imports this without asking, so that what reads files is imported when they are read.
"""

from __future__ import annotations

import json
import math
from functools import lru_cache
from pathlib import Path

from gradsweep.config import ModelConfig, SourceKind


def parameters_of(model: ModelConfig) -> int | None:
    """All parameters of a model, tied ones once; None where nothing at hand tells.

    A folder tells by its safetensors, and so does a hub model in the local cache; a GGUF file by
    itself. Weights that a folder keeps quantised take less memory than their number says: these
    are unknown.
    """
    if model.parameters is not None:
        return model.parameters
    if model.source.kind is SourceKind.gguf:
        return _in_file(Path(str(model.source.path)))
    from gradsweep.models.fingerprint import weight_files

    folder = local_folder(model)
    if folder is None or _is_quantised(folder):
        return None
    files = [folder / name for name in weight_files(folder) if name.endswith(".safetensors")]
    counts = [_in_file(file) for file in files]
    known = [count for count in counts if count is not None]
    return sum(known) if known and len(known) == len(counts) else None


def local_folder(model: ModelConfig) -> Path | None:
    """The folder with a model's files, of a hub model that of the local cache; None without one."""
    source = model.source
    if source.kind is SourceKind.folder:
        folder = Path(str(source.path))
        return folder if folder.is_dir() else None
    if source.kind is not SourceKind.hub:
        return None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(str(source.hub_id), "config.json", revision=source.revision)
    return Path(found).parent if isinstance(found, str) else None


def _is_quantised(folder: Path) -> bool:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False  # which loading it says better
    return isinstance(config, dict) and "quantization_config" in config


def _in_file(file: Path) -> int | None:
    """Parameters of one file; None where it is missing or damaged, which loading it tells."""
    from safetensors import SafetensorError

    try:
        state = file.stat()
        return _counted(file, state.st_size, state.st_mtime_ns)
    except (OSError, ValueError, LookupError, SafetensorError):
        return None


@lru_cache(maxsize=1024)
def _counted(file: Path, size: int, changed: int) -> int:
    """Elements of the weights, by a file's header; counted once while it is the same."""
    if file.suffix == ".gguf":
        from gradsweep.models.gguf_reader import PlainGGUFReader

        return sum(int(tensor.n_elements) for tensor in PlainGGUFReader(file).tensors)
    from safetensors import safe_open

    with safe_open(file, "numpy") as tensors:
        slices = map(tensors.get_slice, tensors.keys())
        return sum(math.prod(s.get_shape()) for s in slices if "F" in s.get_dtype())
