"""What store plugins share: LlamaIndex's methods over ragkit's protocols, exact similarities, stable search, clear faults, locks.

    from ragkit.stores import StoreMethods, nearest

    class MyStore(StoreMethods, BasePydanticVectorStore):
        def upsert(self, nodes): ...
        def search_ids(self, query): ...
        def ids(self): ...
        def delete_ids(self, ids): ...

Nothing here is needed for a plugin; each piece spares its author a trap. Importing this package imports no SDK.
"""

from ragkit.stores.faults import Fault, http_fault, insist, unreachable
from ragkit.stores.locking import sync_folder, write_lock
from ragkit.stores.methods import StoreMethods, require_dimension, vector_of
from ragkit.stores.nearest import CANDIDATES, Candidates, batches, nearest
from ragkit.stores.similarity import METRICS, similarities

__all__ = [
    "CANDIDATES",
    "METRICS",
    "Candidates",
    "Fault",
    "StoreMethods",
    "batches",
    "http_fault",
    "insist",
    "nearest",
    "require_dimension",
    "similarities",
    "sync_folder",
    "unreachable",
    "vector_of",
    "write_lock",
]
