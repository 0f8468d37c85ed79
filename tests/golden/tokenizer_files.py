"""2,000 tokenizer.json files with options drawn at random per component, and the ids and texts of Hugging Face's; see README.md.

python tokenizer_files.py            writes tokenizer_files.json.gz
python tokenizer_files.py --show 17  prints file 17 with its texts, ids and decoded texts in full
"""
import base64
import copy
import gzip
import json
import os
import random
import sys
import tempfile

import sentencepiece
import tokenizers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

SEED = int(os.environ.get("SEED", 20261128))
FILES = 2000
TEXTS_PER_FILE = 8

rng = random.Random(SEED)
chance = lambda p: rng.random() < p
flag = lambda: chance(0.5)

# ---- texts

SPACES = [" ", "  ", "\t", "\n", "\r\n", "\r", "\u0085", "\u00a0", "\u1680", "\u2003", "\u2028", "\u2029", "\u202f", "\u3000", "\ufeff", "\u200b", "\u000b", "\f", "   \n "]
WORDS = """the The cat and hat it's don't we'll I'd they've 'S 's 'ſ do not n't ! ? . , ' " - _ __ ## ##s @ # $ % <s> </s> [MASK] [UNK] <unk> <|end|>
hello HELLO Größe STRASSE straße ŒUVRE œuvre été ÉTÉ été naïve Ångström ﬁre ﬃ Ǆ ΣΊΣΥΦΟΣ σίσυφος ΟΔΟΣ İstanbul ısı Привет мир съешь
日本語 東京 ひらがな カタカナ ｶﾞｷﾞ ー 漢字 中文 你好 한국어 각 각 한 שלום שָׁלוֹם العربية لا السلام 123 1234567 ١٢٣ १२ ½ ² Ⅷ ① 3.14 1,000 x=1; f(x) a+b a_b
😀 👍🏽 👨‍👩‍👧 🇩🇪🇫🇷 ❤️ ☕ e\u0301 o\u0308\u0323 a\u0345 q\u0307\u0323 น้ำ หนึ่ง हिन्दी क्ष ক্ষ தமிழ் ★ → € £ … — – “ ” ‘ ’ « » ¿ ¡ ﷺ ℃ ½ ﬀ Å Ω ㍿ ㌔ ﾊﾟ
\u0600\u0661 \u200d \u200e \u00ad \u2060 \u0000 \u0001 \u001f \u007f \u009f \ufffd \ufffe \ue000 \U0010ffff \u105c9 \U000105c9 \U000105d2\u0307 \U00011938 \U00011935\U00011930
\u1734 \U0001171e \u166d \U00011de1 \U00016ff5 \ua7ce \ua7d2 \U00016ea0 \u32ff \ua7f3 \u0897 \u08ca \u1ac5 \U0001e030 \U0001fbf3 \U00020000 \U0002b739 \U0002b81e \U0002ebf0 ▁ ▁▁ Ġ é Ã© aaaaaaaa ababababab zzz qqq xx""".split(" ")
WORDS = [word for part in WORDS for word in part.split("\n")]


def make_text():
    n = rng.choice([1, 1, 2, 3, 4, 6, 9, 14])
    text = ""
    for i in range(n):
        if i > 0 or chance(0.2):
            text += rng.choice(SPACES) if chance(0.3) else "" if chance(0.3) else " "
        text += rng.choice(WORDS) if chance(0.9) else chr(rng.choice([rng.randrange(0x20, 0x250), rng.randrange(0x250, 0xd800), rng.randrange(0xe000, 0x30000)]))
    return text + (rng.choice(SPACES) if chance(0.1) else "")


TEXTS = ["", " ", "  ", "\n", "a", "the cat and the hat", "The quick brown fox, it's don't!", " leading and trailing ", "a" * 300, "ab" * 120, " " * 50 + "x",
         "".join(SPACES), "\r\n\r\n", "日" * 70, "e\u0301" * 20, "x\u0301\u0323\u0308" * 5, "<s>the cat</s>", "the<s> the </s>\nthe", "thethe the_the the-the THE",
         "aéb日😀", "New York is New\u00a0York", "\U000105d2\u0307a\u0345\u08cab"] + [make_text() for _ in range(240)]

CORPUS = [text for text in TEXTS if len(text) < 80] + ["the cat and the hat is in the house with a mouse " * 2, "there they then other these those and sand hand land"] * 3

# ---- models

QUIET = dict(show_progress=False)


def model_of(tokenizer):
    return json.loads(tokenizer.to_str())["model"]


def trained(model, trainer, pre=None, normalizer=None):
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.train_from_iterator(CORPUS, trainer)
    return model_of(tokenizer)


BYTES = ["<0x%02X>" % byte for byte in range(256)]


def with_tokens(model, tokens):
    """The model with tokens before its own; merges stay as they are."""
    vocab = {}
    for token in tokens + sorted(model["vocab"], key=model["vocab"].get):
        vocab.setdefault(token, len(vocab))
    return {**model, "vocab": vocab}


def with_pieces(model, tokens):
    return {**model, "vocab": [*model["vocab"], *[[token, -20.0 - i / 8] for i, token in enumerate(tokens)]]}


def make_models():
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    split = pre_tokenizers.WhitespaceSplit()
    ascii_letters = list("abcdefghijklmnopqrstuvwxyz")
    metaspace = normalizers.Replace(" ", "▁")
    bpe_bytes = trained(models.BPE(), trainers.BpeTrainer(vocab_size=420, initial_alphabet=sorted(alphabet), **QUIET), byte_level)
    bpe_space = trained(models.BPE(), trainers.BpeTrainer(vocab_size=260, limit_alphabet=90, **QUIET), None, metaspace)
    bpe_words = trained(models.BPE(continuing_subword_prefix="##", end_of_word_suffix="</w>"),
                        trainers.BpeTrainer(vocab_size=300, limit_alphabet=60, continuing_subword_prefix="##", end_of_word_suffix="</w>", **QUIET), split)
    pieces = trained(models.WordPiece(unk_token="[UNK]"), trainers.WordPieceTrainer(vocab_size=330, limit_alphabet=80, special_tokens=["[UNK]", "[CLS]", "[MASK]"], **QUIET), pre_tokenizers.BertPreTokenizer())
    words = trained(models.WordLevel(unk_token="<unk>"), trainers.WordLevelTrainer(vocab_size=150, special_tokens=["<unk>", "<s>"], **QUIET), pre_tokenizers.Whitespace())
    scores = trained(models.Unigram(), trainers.UnigramTrainer(vocab_size=700, unk_token="<unk>", special_tokens=["<unk>", "</s>"], **QUIET), pre_tokenizers.Metaspace())
    # Lower-case tokens that upper-case scripts fall on, holes, and tokens of bytes in full or in part.
    some_bytes = [token for i, token in enumerate(BYTES) if i % 3]
    made = {
        "bpe_bytes": bpe_bytes,
        "bpe_space": with_tokens(bpe_space, ["<unk>", "<s>", *ascii_letters]),
        "bpe_fallback": with_tokens(bpe_space, ["<unk>", "<s>", "</s>", *BYTES]),
        "bpe_some_bytes": with_tokens(bpe_space, ["<unk>", *some_bytes]),
        "bpe_words": with_tokens(bpe_words, ["<unk>"]),
        "word_piece": pieces,
        "word_level": words,
        "unigram": scores,
        "unigram_bytes": with_pieces(scores, BYTES),
        "unigram_some_bytes": with_pieces(scores, some_bytes),
    }
    # Spaces between ids: model.vocab need not be dense.
    sparse = copy.deepcopy(made["word_level"])
    sparse["vocab"] = {token: id * 2 for token, id in sparse["vocab"].items()}
    made["word_level_sparse"] = sparse
    return made


def known_models():
    """The models that stand in the golden file: a second training does not always give the same."""
    try:
        with gzip.open("tokenizer_files.json.gz") as file:
            return json.loads(file.read())["models"]
    except FileNotFoundError:
        return None


def draw_model(pool):
    base = rng.choice(list(pool))
    options = {}
    kind = pool[base]["type"]
    drop = []
    if kind == "BPE":
        for key in ["fuse_unk", "byte_fallback", "ignore_merges"]:
            options[key] = flag()
        options["dropout"] = rng.choice([None] * 12 + [0.0, 0.1])
        options["unk_token"] = rng.choice([None, "<unk>", "<unk>", "<unk>", "<s>", "nowhere", ""])
        if chance(0.2):
            drop = [rng.choice(["fuse_unk", "byte_fallback", "dropout", "ignore_merges", "unk_token"])]
        if base != "bpe_words" and chance(0.1):
            options["end_of_word_suffix"] = rng.choice(["", "</w>", "s"])
    elif kind == "WordPiece":
        options["unk_token"] = rng.choice(["[UNK]", "[UNK]", "[MASK]", "nowhere"])
        options["continuing_subword_prefix"] = rng.choice(["##", "##", "##", "", "@@"])
        options["max_input_chars_per_word"] = rng.choice([100, 100, 5, 1, 0])
    elif kind == "WordLevel":
        options["unk_token"] = rng.choice(["<unk>", "<unk>", "<s>", "nowhere"])
    else:
        options["unk_id"] = rng.choice([0, 0, 0, 1, 7, None])
        options["byte_fallback"] = flag()
    return {"base": base, **options}, drop


# ---- components

PATTERNS = [
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    r"\s+", r"\s", r"\S+", r"\w+", r"\w+|[^\w\s]+", r"\W", r"\d{1,3}(?=(?:\d{3})*\b)", r"\d", r"\p{N}{1,3}+", r"[0-9][0-9][0-9]", r"[一-龥ぁ-ヿ]+", r"\p{Han}|\p{Hiragana}+",
    r"(?<=\s)", r"(?=[A-Z])", r"(?<![a-z])t", r"\b", r"^", r"$", r"^\s*", r"\A.", r".\z", r"\n", r".", r"x*", r"(?m:.)", r"(?i)the|AND", r"t(?i)h|e", r"(?i:k|s)", r"(?i:[a-f]+)",
    r"a|ab", r"(?:ab|a)b?", r"(?>a+)b?", r"a*+", r"[^\S\n]+", r"\p{^L}+", r"\P{L}", r"\p{Latin}+", r"\u00e9|\x{e9}|\t", r"a{2}", r"a{2,}", r"a{,3}b", r"a{3}?", r"a{1,2}?", r"[\w-]+", r"[a-c&&b]",
    r"[[:alpha:]]+", r"(?i:ss)", r"(?i:é)", r"\X", r"\R", r"(a)\1", r"(?x: a )", r"[a[bc]]+", r"[^\p{L}\s]", r"\h+", r"\p{Lowercase}", r"(t|h)(e)", r"▁+", r"[.]", r"\.", r"\Bt", r"{", r"e|$", r"(?!the)\w",
]
STRINGS = [" ", " ", "a", "the", "▁", ".", "é", "\n", "  ", "*", "日", ""]
BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]


def draw_pattern():
    return {"Regex": rng.choice(PATTERNS)} if chance(0.7) else {"String": rng.choice(STRINGS)}


def draw_normalizer(deep=0):
    kind = rng.choice(["BertNormalizer", "Strip", "StripAccents", "NFC", "NFD", "NFKC", "NFKD", "Lowercase", "Nmt", "Precompiled", "Replace", "Prepend", "ByteLevel"] + ["Sequence"] * (4 if deep == 0 else 0))
    made = {"type": kind}
    if kind == "BertNormalizer":
        made.update(clean_text=flag(), handle_chinese_chars=flag(), strip_accents=rng.choice([None, True, False]), lowercase=flag())
    elif kind == "Strip":
        made.update(strip_left=flag(), strip_right=flag())
    elif kind == "Precompiled":
        made.update(precompiled_charsmap=rng.choice(["@nmt_nfkc", "@small"]))
    elif kind == "Replace":
        made.update(pattern=draw_pattern(), content=rng.choice(["", " ", "▁", "$1", "aé", "  "]))
    elif kind == "Prepend":
        made.update(prepend=rng.choice(["▁", " ", "the", ""]))
    elif kind == "Sequence":
        made.update(normalizers=[draw_normalizer(1) for _ in range(rng.randrange(4))])
    return made


def draw_metaspace():
    made = {"type": "Metaspace", "replacement": rng.choice(["▁", "▁", "▁", "_", " "])}
    if chance(0.8):
        made["prepend_scheme"] = rng.choice(["always", "first", "never"])
    if chance(0.8):
        made["split"] = flag()
    if chance(0.2):
        made["add_prefix_space"] = flag()
    return made


def draw_byte_level():
    made = {"type": "ByteLevel", "add_prefix_space": flag(), "trim_offsets": flag(), "use_regex": flag()}
    if chance(0.2):
        del made["use_regex"]
    return made


def draw_pre_tokenizer(deep=0):
    kind = rng.choice(["BertPreTokenizer", "ByteLevel", "ByteLevel", "CharDelimiterSplit", "Metaspace", "Metaspace", "Whitespace", "Split", "Split", "Split", "Punctuation", "WhitespaceSplit", "Digits", "UnicodeScripts", "FixedLength"] + ["Sequence"] * (5 if deep == 0 else 0))
    made = {"type": kind}
    if kind == "ByteLevel":
        return draw_byte_level()
    if kind == "Metaspace":
        return draw_metaspace()
    if kind == "CharDelimiterSplit":
        made.update(delimiter=rng.choice([" ", "e", "日", "-"]))
    elif kind == "Split":
        made.update(pattern=draw_pattern(), behavior=rng.choice(BEHAVIORS), invert=flag())
    elif kind == "Punctuation":
        made.update(behavior=rng.choice(BEHAVIORS))
    elif kind == "Digits":
        made.update(individual_digits=flag())
    elif kind == "FixedLength":
        made.update(length=rng.choice([1, 2, 5]))
    elif kind == "Sequence":
        made.update(pretokenizers=[draw_pre_tokenizer(1) for _ in range(rng.randrange(4))])
    return made


def draw_decoder(deep=0):
    kind = rng.choice(["BPEDecoder", "ByteLevel", "ByteLevel", "WordPiece", "Metaspace", "CTC", "Replace", "Fuse", "Strip", "ByteFallback", "ByteFallback"] + ["Sequence"] * (6 if deep == 0 else 0))
    made = {"type": kind}
    if kind == "BPEDecoder":
        made.update(suffix=rng.choice(["</w>", "s", "##"]))
    elif kind == "ByteLevel":
        return draw_byte_level()
    elif kind == "WordPiece":
        made.update(prefix=rng.choice(["##", "##", "t", ""]), cleanup=flag())
    elif kind == "Metaspace":
        return draw_metaspace()
    elif kind == "CTC":
        made.update(pad_token=rng.choice(["<unk>", "e", "the"]), word_delimiter_token=rng.choice(["|", "a", " "]), cleanup=flag())
    elif kind == "Replace":
        made.update(pattern=draw_pattern(), content=rng.choice(["", " ", "$0", "é"]))
    elif kind == "Strip":
        made.update(content=rng.choice([" ", "▁", "a", "t"]), start=rng.randrange(3), stop=rng.choice([0, 0, 0, 1, 2]))
    elif kind == "Sequence":
        made.update(decoders=[draw_decoder(1) for _ in range(rng.randrange(5))])
    return made


def draw_post_processor(deep=0):
    kind = rng.choice(["TemplateProcessing", "BertProcessing", "RobertaProcessing", "ByteLevel"] + ["Sequence"] * (deep == 0))
    piece = lambda id: {"Sequence": {"id": id, "type_id": 0}}
    special = {"SpecialToken": {"id": "<s>", "type_id": 0}}
    if kind == "TemplateProcessing":
        single = rng.choice([[special, piece("A")], [piece("A"), special], [piece("A")], [special, piece("A"), special], [piece("A"), piece("A")], [special]])
        return {"type": kind, "single": single, "pair": [piece("A"), piece("B")], "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}}
    if kind == "ByteLevel":
        return draw_byte_level()
    if kind == "Sequence":
        return {"type": kind, "processors": [draw_post_processor(1) for _ in range(rng.randrange(3))]}
    made = {"type": kind, "sep": ["<s>", 1], "cls": ["<s>", 1]}
    return made if kind == "BertProcessing" else {**made, "trim_offsets": flag(), "add_prefix_space": flag()}


ADDED = ["<s>", "</s>", "[MASK]", "<unk>", "<|end|>", "the", " the", "The", "a", "ab", "É", "é", "  ", "\n", "日本", "New York", "It's", "##s", "▁the", "\u00a0", "x ", "'s", "ΣΊ", "ﬁ", "Ġ", "t", "<s>the"]


def draw_added():
    count = rng.choice([0, 0, 1, 2, 3, 5])
    contents = [rng.choice(ADDED) for _ in range(count)] if chance(0.02) else rng.sample(ADDED, count)
    return [{"id": 100000 + i, "content": content, "single_word": chance(0.3), "lstrip": chance(0.3), "rstrip": chance(0.3), "normalized": flag(), "special": flag()}
            for i, content in enumerate(contents)]


# What families of models have; a third of the files starts with one and changes a component or none.
METASPACE = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
SPLIT_THEN_BYTES = lambda pattern: {"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}, {**BYTE_LEVEL, "use_regex": False}]}
START_TEMPLATE = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}], "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}], "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}}
FAMILIES = {
    "GPT-2": {"pre_tokenizer": BYTE_LEVEL, "post_processor": BYTE_LEVEL, "decoder": BYTE_LEVEL, "model": {"base": "bpe_bytes", "unk_token": "", "continuing_subword_prefix": "", "end_of_word_suffix": ""}},
    "Llama 2": {"normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
                "post_processor": START_TEMPLATE,
                "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
                "model": {"base": "bpe_fallback", "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True, "ignore_merges": False}},
    "Llama 3": {"pre_tokenizer": SPLIT_THEN_BYTES(PATTERNS[0]), "post_processor": {"type": "Sequence", "processors": [BYTE_LEVEL, START_TEMPLATE]}, "decoder": BYTE_LEVEL, "model": {"base": "bpe_bytes", "ignore_merges": True}},
    "BERT": {"normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True}, "pre_tokenizer": {"type": "BertPreTokenizer"},
             "post_processor": {"type": "BertProcessing", "sep": ["[MASK]", 2], "cls": ["[CLS]", 1]}, "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True}, "model": {"base": "word_piece"}},
    "T5": {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "@nmt_nfkc"}, "pre_tokenizer": METASPACE, "post_processor": START_TEMPLATE, "decoder": METASPACE, "model": {"base": "unigram_bytes", "unk_id": 0, "byte_fallback": True}},
    "Qwen": {"normalizer": {"type": "NFC"}, "pre_tokenizer": SPLIT_THEN_BYTES(PATTERNS[1]), "post_processor": BYTE_LEVEL, "decoder": BYTE_LEVEL, "model": {"base": "bpe_bytes", "ignore_merges": False}},
}


def draw_file(pool):
    file = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": draw_added(), "normalizer": None, "pre_tokenizer": None, "post_processor": None, "decoder": None}
    drop = []
    family = rng.choice(list(FAMILIES)) if chance(0.34) else None
    if family:
        file.update(copy.deepcopy(FAMILIES[family]))
        changed = rng.choice(["none", "normalizer", "pre_tokenizer", "decoder", "model", "post_processor"])
    else:
        changed = "all"
    for key, draw, odds in [("normalizer", draw_normalizer, 0.5), ("pre_tokenizer", draw_pre_tokenizer, 0.8), ("post_processor", draw_post_processor, 0.3), ("decoder", draw_decoder, 0.8)]:
        if changed == key or (changed == "all" and chance(odds)):
            file[key] = draw()
    if changed in ["model", "all"]:
        file["model"], drop = draw_model(pool)
    if chance(0.02):
        file["truncation"] = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    if chance(0.02):
        file["padding"] = {"strategy": {"Fixed": 6}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0, "pad_token": "<unk>"}
    return family, file, drop


# ---- goldens


def fnv(data):
    h = 0x811C9DC5
    for byte in data:
        h = ((h ^ byte) * 0x01000193) & 0xFFFFFFFF
    return "%08x" % h


def ids_hash(ids):
    return fnv(b"".join(id.to_bytes(4, "little") for id in ids))


def whole(file, pool, charsmaps):
    """The file as it would lie on a disk: models and character maps in full."""
    file = copy.deepcopy(file)
    model = file["model"]
    dropped = model.pop("drop", [])
    base = copy.deepcopy(pool[model.pop("base")])
    base.update(model)
    file["model"] = {key: value for key, value in base.items() if key not in dropped}

    def fill(value):
        if isinstance(value, dict):
            if str(value.get("precompiled_charsmap", "")).startswith("@"):
                value["precompiled_charsmap"] = charsmaps[value["precompiled_charsmap"][1:]]
            for inner in value.values():
                fill(inner)
        elif isinstance(value, list):
            for inner in value:
                fill(inner)
    fill(file["normalizer"])
    return file


def attempt(work):
    try:
        return work()
    except BaseException as error:  # A panic is no Exception.
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        return None


def same_normalized(tokenizer, file):
    """Whether two added tokens are one text when normalized: which one is found changes from run to run."""
    normalize = tokenizer.normalizer.normalize_str if tokenizer.normalizer else str
    texts = [normalize(token["content"]) for token in file["added_tokens"] if token["normalized"]]
    return len(set(texts)) < len(texts)


def make_charsmaps():
    made = {}
    with tempfile.TemporaryDirectory() as folder:
        corpus = os.path.join(folder, "corpus.txt")
        with open(corpus, "w") as out:
            out.write("\n".join("the cat and the hat abcdefghijklmnopqrstuvwxyz %d" % i for i in range(200)))
        rules = os.path.join(folder, "rules.tsv")
        pairs = [("É", "e"), ("e\u0301", "é"), ("the", "T"), ("ab", "B"), ("日", "ni "), ("\u0085", " "), ("x", ""), ("ﬁ", "fi"), ("👍🏽", "ok"), ("क्ष", "ks"), ("\u0600", "!")]
        with open(rules, "w") as out:
            out.write("".join("%s\t%s\n" % (" ".join("%X" % ord(c) for c in a), " ".join("%X" % ord(c) for c in b)) for a, b in pairs))
        for name, how in [("nmt_nfkc", {"normalization_rule_name": "nmt_nfkc"}), ("small", {"normalization_rule_tsv": rules})]:
            sentencepiece.SentencePieceTrainer.train(input=corpus, model_prefix=os.path.join(folder, name), vocab_size=40, minloglevel=2, **how)
            with open(os.path.join(folder, name + ".model"), "rb") as file:
                made[name] = base64.b64encode(charsmap_of(file.read())).decode()
    return made


def charsmap_of(proto):
    """normalizer_spec (field 3) . precompiled_charsmap (field 2) of a SentencePiece model."""
    def fields(data):
        at = 0
        def varint():
            nonlocal at
            value = shift = 0
            while True:
                byte = data[at]
                at += 1
                value |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    return value
        while at < len(data):
            key = varint()
            if key & 7 == 0:
                yield key >> 3, varint()
            elif key & 7 == 5:
                yield key >> 3, data[at:at + 4]
                at += 4
            else:
                size = varint()
                yield key >> 3, data[at:at + size]
                at += size
    spec = dict(fields(proto))[3]
    return dict(fields(spec))[2]


def main():
    show = int(sys.argv[2]) if len(sys.argv) > 2 else None
    pool = known_models() or make_models()
    charsmaps = make_charsmaps()
    files = []
    unread = 0
    while len(files) < FILES:
        family, file, drop = draw_file(pool)
        if drop:
            file["model"]["drop"] = drop
        tokenizer = attempt(lambda: Tokenizer.from_str(json.dumps(whole(file, pool, charsmaps))))
        if tokenizer is None:
            unread += 1
            continue
        if not chance(0.02):
            # The ids that the tokens have got, as a file that is saved has them.
            saved = {token["content"]: token["id"] for token in json.loads(tokenizer.to_str())["added_tokens"]}
            for token in file["added_tokens"]:
                token["id"] = saved[token["content"]]
        random_ids = "dropout" not in drop and (file["model"].get("dropout") or 0) > 0 or same_normalized(tokenizer, file)
        cases = []
        for at in rng.sample(range(len(TEXTS)), TEXTS_PER_FILE):
            ids = None if random_ids else attempt(lambda: tokenizer.encode(TEXTS[at], add_special_tokens=False).ids)
            text = None if ids is None else attempt(lambda: tokenizer.decode(ids, skip_special_tokens=False))
            if len(files) == show:
                print(json.dumps([TEXTS[at], ids, text]))
            cases.append([at, None if ids is None else ids_hash(ids), None if text is None else fnv(text.encode())])
        if len(files) == show:
            print(json.dumps(whole(file, pool, charsmaps)))
        files.append({"family": family, "file": file, "cases": cases})
    if show is not None:
        return
    golden = {"made_with": {"tokenizers": tokenizers.__version__, "sentencepiece": sentencepiece.__version__, "seed": SEED},
              "texts": TEXTS, "models": pool, "charsmaps": charsmaps, "files": files}
    data = json.dumps(golden, ensure_ascii=True, separators=(",", ":")).encode()
    with open("tokenizer_files.json.gz", "wb") as out:
        out.write(gzip.compress(data, 9, mtime=0))
    print(len(data), "bytes of JSON;", unread, "draws that tokenizers does not read")


main()
