"""How a text becomes terms, for every keyword store alike: folding, identifiers, scripts without spaces, stop words, stems.

    from ragkit.analysis import Analyzer, Language

    Analyzer("en").terms("Validating user.validate_email")
    # ['valid', 'user.validate_email', 'user', 'validate_email', 'valid', 'email']

Two stores that read texts through the same analyzer find the same chunks. Importing this package imports neither `regex` nor
`Stemmer`: the first `Analyzer` does.
"""

from ragkit.analysis.analyzer import Analyzer
from ragkit.analysis.languages import SNOWBALL, Language, snowball, stop_words

__all__ = ["SNOWBALL", "Analyzer", "Language", "snowball", "stop_words"]
