"""The embedding store: vectors kept under the digest of their content, so that none is computed twice.

``space.py`` says what makes a vector, ``codec.py`` how it is stored, ``canary.py`` how a model that has
drifted is found; these know no Spark. ``segments.py`` holds the folders and what is torn in them,
``embedding_store.py`` looks keys up and appends to them, ``upkeep.py`` is what the verbs of the command do.
"""
