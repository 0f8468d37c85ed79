"""Turns a nanoGPT checkpoint (ckpt.pt) into a folder that `deno task import_model` reads.

    pip install torch safetensors
    python tools/nanogpt_to_safetensors.py out/ckpt.pt gpt-folder [meta.pkl]
    deno task import_model gpt-folder --out runs/mine

The folder has GPT-2's layout: config.json and model.safetensors with its names. nanoGPT's Linear weights are [out, in]
and GPT-2's Conv1D [in, out], so they are transposed; biases that nanoGPT left out are written as zeros; the
parts of names that torch.compile (`_orig_mod.`) and DistributedDataParallel (`module.`) add are removed, in any order and
place; the tied head is left out. nanoGPT applies the exact GELU, so activation_function is "gelu"; a model that
`GPT.from_pretrained` filled with GPT-2's parameters needs --activation gelu_new.

With the meta.pkl of a character dataset (data/shakespeare_char/meta.pkl) its characters become tokenizer.json. Without
it heed uses GPT-2's tokenizer if its files are in the folder, otherwise token ids.

Only tensors and plain values are read from the checkpoint (weights_only); meta.pkl is a pickle, which can run code: use
only files that you trust.
"""

import argparse
import json
import pathlib
import pickle
import re

import torch
from safetensors.torch import save_file

TRANSPOSED = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")


WRAPPERS = re.compile(r"(?:(?<=\.)|^)(?:module|_orig_mod)\.")


def unwrapped(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors under the names that the model itself gives them."""
    plain = {}
    for name, x in state.items():
        own = WRAPPERS.sub("", name)
        if own in plain:
            raise SystemExit(f"{name}: the checkpoint has {own} twice; expected one model.")
        plain[own] = x
    return plain


def converted(state: dict[str, torch.Tensor], layers: int) -> dict[str, torch.Tensor]:
    """nanoGPT's tensors under GPT-2's names and shapes, float32."""
    out = {}
    for name, x in unwrapped(state).items():
        if name == "lm_head.weight" or name.endswith(".attn.bias") and x.dim() == 4:
            continue  # the tied head, and the mask of an attention without flash kernels
        out[name] = (x.t() if name.endswith(TRANSPOSED) else x).float().contiguous()
    for n in range(layers):
        for part in ("ln_1", "attn.c_attn", "attn.c_proj", "ln_2", "mlp.c_fc", "mlp.c_proj"):
            weight = out[f"transformer.h.{n}.{part}.weight"]
            out.setdefault(f"transformer.h.{n}.{part}.bias", torch.zeros(weight.shape[-1]))
    out.setdefault("transformer.ln_f.bias", torch.zeros(out["transformer.ln_f.weight"].shape))
    return out


def config(args: dict, activation: str) -> dict:
    dropout = args.get("dropout", 0.0)
    return {
        "model_type": "gpt2",
        "architectures": ["GPT2LMHeadModel"],
        "activation_function": activation,
        "vocab_size": args["vocab_size"],
        "n_positions": args["block_size"],
        "n_embd": args["n_embd"],
        "n_layer": args["n_layer"],
        "n_head": args["n_head"],
        "layer_norm_epsilon": 1e-5,
        "embd_pdrop": dropout,
        "resid_pdrop": dropout,
        "attn_pdrop": dropout,
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": None,
    }


def characters(meta: pathlib.Path) -> dict:
    """A character dataset's meta.pkl as a tokenizer whose words are characters."""
    with meta.open("rb") as file:
        words = pickle.load(file)["stoi"]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": r"[\s\S]"}, "behavior": "Isolated", "invert": False},
        "post_processor": None,
        "decoder": {"type": "Fuse"},
        "model": {"type": "WordLevel", "vocab": words, "unk_token": "<unk>"},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Turns a nanoGPT checkpoint into a folder that heed imports.")
    parser.add_argument("checkpoint", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("meta", type=pathlib.Path, nargs="?")
    parser.add_argument("--activation", choices=["gelu", "gelu_new"], default="gelu")
    given = parser.parse_args()
    checkpoint = torch.load(given.checkpoint, map_location="cpu", weights_only=True)
    args = checkpoint["model_args"]
    given.folder.mkdir(parents=True, exist_ok=True)
    tensors = converted(checkpoint["model"], args["n_layer"])
    save_file(tensors, given.folder / "model.safetensors", metadata={"format": "pt"})
    (given.folder / "config.json").write_text(json.dumps(config(args, given.activation), indent=2) + "\n")
    if given.meta:
        (given.folder / "tokenizer.json").write_text(json.dumps(characters(given.meta), indent=1) + "\n")
    print(f"{given.folder}: {sum(x.numel() for x in tensors.values()):,} values")


if __name__ == "__main__":
    main()
