"""The ledger, generations, views and the embedding cache: what ragkit remembers between runs."""
