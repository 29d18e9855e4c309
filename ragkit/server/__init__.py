"""The HTTP API, with the chat page mounted.

keys, access      who asks, and what they may
limits            how often, how many, how large, how long
asking            /search, /ask            openai      /v1
documents         /documents, /runs        health      /healthz, /readyz, /metrics
errors, logs, metrics, tracing             what clients and operators are told
app, running      the application, and the process that serves it
"""
