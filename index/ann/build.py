"""Building an index of a space from the truth, beside the one that answers: read, trained, filled.

Runs in the background, reads a batch at a time, and can be stopped between batches.
"""

from __future__ import annotations

import faiss

from index.ann.approximate import ApproximateIndex
from index.ann.brute_force import Source, Stopped
from index.ann.choice import training_size
from index.ann.flat import FlatIndex

ADD_STEP = 512  # vectors added at once: a graph takes its time, and stopping must not


def build_exact(source: Source) -> FlatIndex:
    """An exact part with everything in the space. Raises Stopped."""
    faiss.omp_set_num_threads(source.threads)
    part = FlatIndex(source.dim)
    for keys, matrix in source.batches():
        part.add(keys, matrix)
    return part


def fill_large(source: Source, large: ApproximateIndex, count: int) -> ApproximateIndex:
    """An empty approximate index, trained and filled with everything in the space, about `count`. Raises Stopped."""
    faiss.omp_set_num_threads(source.threads)
    large.train(source.sample(training_size(large.kind, count))[1])
    for keys, matrix in source.batches():
        for start in range(0, len(keys), ADD_STEP):
            if source.stop():
                raise Stopped
            large.add(keys[start : start + ADD_STEP], matrix[start : start + ADD_STEP])
    return large
