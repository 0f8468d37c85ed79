"""What normalizers, pre-tokenizers and expressions of tokenizers make of every code point, as SHA-256; see README.md.

python tokenizer_unicode.py
"""
import hashlib
import json

import tokenizers
from tokenizers import Tokenizer, models

ALL = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
# Apart, so that each is alone, and side by side, so that classes of characters are runs.
APART = "|".join(ALL)
BESIDE = "".join(ALL)

BERT = {"type": "BertNormalizer", "clean_text": False, "handle_chinese_chars": False, "strip_accents": False, "lowercase": False}
NORMALIZERS = [{"type": kind} for kind in ["NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt", "ByteLevel"]]
NORMALIZERS += [{**BERT, key: True} for key in ["clean_text", "handle_chinese_chars", "strip_accents", "lowercase"]]
PRE_TOKENIZERS = [{"type": kind} for kind in ["BertPreTokenizer", "Whitespace", "WhitespaceSplit"]]
PRE_TOKENIZERS += [{"type": "Digits", "individual_digits": False}, {"type": "Punctuation", "behavior": "Contiguous"},
                   {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}]
# A mark of class 240 before each: which ones move before it is their combining class.
ORDER = [{"type": "NFD"}]
PROPERTIES = """L Lu Ll Lt Lm Lo M Mn Mc Me N Nd Nl No P Pc Pd Ps Pe Pi Pf Po S Sm Sc Sk So Z Zs Zl Zp
Han Hiragana Katakana Hangul Latin Cyrillic Greek Arabic Hebrew Thai Devanagari Bengali Tamil""".split()
EXPRESSIONS = [r"\p{%s}+" % name for name in PROPERTIES] + [r"\s+", r"\w+", r"\d+", r"\h+", r"\W+", r"[\w]+", r"[^\w\s]+", r"(?i:[a-z])+", r"(?i:k|s)+", r".+"]


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def tokenizer_of(**parts):
    return Tokenizer.from_str(json.dumps({"version": "1.0", "model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}, **parts}))


def normalized(component, text):
    return tokenizer_of(normalizer=component).normalizer.normalize_str(text)


def pieces(component, text):
    return [piece for piece, _ in tokenizer_of(pre_tokenizer=component).pre_tokenizer.pre_tokenize_str(text)]


golden = {
    "made_with": {"tokenizers": tokenizers.__version__},
    "normalizers": [[component, sha256(normalized(component, APART))] for component in NORMALIZERS],
    "order": [[component, sha256(normalized(component, "|".join("a\u0345" + c for c in ALL)))] for component in ORDER],
    "pre_tokenizers": [[component, sha256("\n".join(pieces(component, BESIDE)))] for component in PRE_TOKENIZERS],
    "expressions": [[expression, sha256(normalized({"type": "Replace", "pattern": {"Regex": expression}, "content": "|"}, BESIDE))] for expression in EXPRESSIONS],
}
with open("tokenizer_unicode.json", "w", encoding="utf-8") as file:
    json.dump(golden, file, indent=1)
    file.write("\n")
