"""The built-in rerankers."""
