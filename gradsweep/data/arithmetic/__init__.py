"""The bundled data: seeded word problems with three CoT levels (`dataset=arithmetic`)."""

from gradsweep.data.arithmetic.dataset import VERSION, read_arithmetic

__all__ = ["VERSION", "read_arithmetic"]
