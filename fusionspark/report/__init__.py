"""The room `report`: metrics, cluster summaries, and one self-contained page for the reader."""
