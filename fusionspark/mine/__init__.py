"""mine: features become predictions and clusters.

`classify` holds one table of algorithms, `cluster` the clustering; both fix the order of rows first
(`order`), because MLlib's results otherwise depend on how the input happens to be partitioned.
"""
