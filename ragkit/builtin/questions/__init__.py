"""Retrievers that ask another one in other words, or another one altogether."""
