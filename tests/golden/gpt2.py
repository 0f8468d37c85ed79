"""Golden numbers of a tiny random GPT-2 as Hugging Face transformers writes, runs and continues it.

Writes gpt2/ (config.json, model.safetensors, tokenizer.json: the folder of a model) and gpt2.json: logits of two rows
of ids in float64, and what greedy and beam search continue prompts with. Usage: python gpt2.py
"""

import json
import math
import pathlib
import platform

import tokenizers
import torch
import transformers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

HERE = pathlib.Path(__file__).parent
FOLDER = HERE / "gpt2"
SIZES = {"n_positions": 48, "n_embd": 32, "n_layer": 2, "n_head": 4}
PROMPTS = ["The quick brown fox", "  two spaces, été and 12345"]
TEXT = "the quick brown fox jumps over the lazy dog. the dog sleeps; the fox runs over the hill and the dog barks. " * 4


def tokenizer() -> tokenizers.Tokenizer:
    """Byte-level BPE as GPT-2 has it: 256 bytes, 40 merges, and the token that ends a text."""
    made = tokenizers.ByteLevelBPETokenizer(add_prefix_space=False)
    made.train_from_iterator([TEXT], vocab_size=296, min_frequency=2, special_tokens=[], show_progress=False)
    made.add_special_tokens(["<|endoftext|>"])
    return made._tokenizer


def randomise(model: GPT2LMHeadModel) -> None:
    """Every parameter away from its start: biases that are not 0, norms that are not 1, patterns that are not flat."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator)
            norm = "ln_" in name and name.endswith("weight")
            p.copy_(1 + 0.2 * noise if norm else noise * (0.3 if p.dim() == 2 else 0.1))


def beams(model: GPT2LMHeadModel, ids: list[int], tokens: int, width: int) -> dict:
    """The best of `width` beams without an end token: all are of one length, so that no length penalty matters."""
    out = model.generate(
        torch.tensor([ids]),
        max_new_tokens=tokens,
        min_new_tokens=tokens,
        num_beams=width,
        do_sample=False,
        eos_token_id=None,
        pad_token_id=0,
        length_penalty=0.0,
        return_dict_in_generate=True,
        output_scores=True,
    )
    return {"width": width, "ids": out.sequences[0].tolist(), "log_probability": out.sequences_scores[0].item()}


def greedy(model: GPT2LMHeadModel, ids: list[int], tokens: int) -> list[int]:
    out = model.generate(
        torch.tensor([ids]), max_new_tokens=tokens, min_new_tokens=tokens, do_sample=False, eos_token_id=None, pad_token_id=0
    )
    return out[0].tolist()


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(1)
    made = tokenizer()
    config = GPT2Config(vocab_size=made.get_vocab_size(), bos_token_id=296, eos_token_id=296, **SIZES)
    model = GPT2LMHeadModel(config).eval()
    randomise(model)
    model.save_pretrained(FOLDER, safe_serialization=True)
    (FOLDER / "generation_config.json").unlink(missing_ok=True)
    made.save(str(FOLDER / "tokenizer.json"))

    model = model.double()
    rows = [made.encode(prompt).ids for prompt in PROMPTS]
    generator = torch.Generator().manual_seed(9)
    full = torch.randint(0, config.vocab_size, (48,), generator=generator).tolist()
    with torch.no_grad():
        # Every 8th number of each row's logits, and all of the last row's: enough to tell any mistake.
        logits = model(torch.tensor([full])).logits[0]
        loss = model(torch.tensor([full]), labels=torch.tensor([full])).loss.item()
    assert math.isfinite(loss)
    content = {
        "made_with": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "tokenizers": tokenizers.__version__,
        },
        "ids": full,
        "every_8th_logit": [[round(x, 7) for x in row[::8].tolist()] for row in logits],
        "last_logits": [round(x, 7) for x in logits[-1].tolist()],
        "loss": loss,
        "prompts": [
            {"text": text, "ids": ids, "greedy": greedy(model, ids, 16), "beams": beams(model, ids, 8, 4)}
            for text, ids in zip(PROMPTS, rows)
        ],
    }
    lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in content.items()]
    (HERE / "gpt2.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    # What is written is what transformers itself reads back.
    again = GPT2LMHeadModel.from_pretrained(FOLDER).double().eval()
    with torch.no_grad():
        assert torch.equal(again(torch.tensor([full])).logits[0], logits)
    PreTrainedTokenizerFast(tokenizer_file=str(FOLDER / "tokenizer.json"))


if __name__ == "__main__":
    main()
