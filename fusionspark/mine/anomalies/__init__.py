"""Anomalies: rows unlike the others in numbers, categories or text, or whose text does not fit the table."""
