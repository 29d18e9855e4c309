"""From a question to a trace, nodes and an answer."""
