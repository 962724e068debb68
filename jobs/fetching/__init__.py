"""Getting a clip's encoded bytes, from wherever they are.

fetcher   what every fetcher gives and how it fails
"""
