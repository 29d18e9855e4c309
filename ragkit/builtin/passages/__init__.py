"""Retrievers that choose among the hits of another, or hand out more than what was found."""
