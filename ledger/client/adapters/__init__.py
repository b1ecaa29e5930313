"""Adapters: one module per agent framework, which it imports itself; each by the framework's own hook, outside all others.

What every one records: the request, each decision of the model, and for each tool call its intent before it runs, then its denial, its
error or its outcome. docs/frameworks/ has a page for each.
"""
