"""The agents shipped with clinvk: programs of their own that speak the Agent Client Protocol.

``python -m clinvkd.agents.echo`` is deterministic and needs only the standard library;
``python -m clinvkd.agents.local`` runs a small real model. The daemon knows them as commands,
like any other agent, and nothing in here may import the rest of ``clinvkd``.
"""
