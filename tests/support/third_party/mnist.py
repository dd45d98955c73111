"""A stand-in, our own, in the form of PyTorch's MNIST example: the same options, a classifier in NumPy, digits that are drawn here."""

import argparse
import pickle
import struct
import zlib
from pathlib import Path

import numpy as np


class SummaryWriter:
    """What torch.utils.tensorboard writes, as far as scalars go: records with their length, and CRCs that are not looked at here."""

    def __init__(self, folder):
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.file = Path(folder, "events.out.tfevents.0.host").open("ab")  # noqa: SIM115  as long as the script

    def add_scalar(self, tag, value, step):
        summary = b"\x0a" + bytes([len(tag)]) + tag.encode() + b"\x15" + struct.pack("<f", value)
        summary = b"\x0a" + bytes([len(summary)]) + summary
        event = b"\x09" + struct.pack("<d", 0.0) + b"\x10" + bytes([step]) + b"\x2a" + bytes([len(summary)]) + summary
        head = struct.pack("<Q", len(event))
        self.file.write(head + struct.pack("<I", zlib.crc32(head)) + event + struct.pack("<I", zlib.crc32(event)))
        self.file.flush()


def digits(generator, number):
    """Noisy pictures of 8 by 8 pixels of ten patterns, and which one each is."""
    patterns = np.random.default_rng(0).normal(size=(10, 64))
    labels = generator.integers(0, 10, number)
    return patterns[labels] + generator.normal(size=(number, 64)), labels


def main():
    parser = argparse.ArgumentParser(description="PyTorch MNIST Example")
    parser.add_argument("--batch-size", type=int, default=64, metavar="N", help="input batch size for training (default: 64)")
    parser.add_argument("--epochs", type=int, default=14, metavar="N", help="number of epochs to train (default: 14)")
    parser.add_argument("--lr", type=float, default=1.0, metavar="LR", help="learning rate (default: 1.0)")
    parser.add_argument("--no-cuda", action="store_true", default=False, help="disables CUDA training")
    parser.add_argument("--dry-run", action="store_true", default=False, help="quickly check a single pass")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="random seed (default: 1)")
    parser.add_argument("--log-interval", type=int, default=10, metavar="N", help="how many batches to wait before logging training status")
    parser.add_argument("--save-model", action="store_true", default=False, help="For Saving the current Model")
    parser.add_argument("--resume", default="", help="path to latest checkpoint (default: none)")
    args = parser.parse_args()

    generator = np.random.default_rng(args.seed)
    weights, first = np.zeros((64, 10)), 1
    if args.resume:
        with open(args.resume, "rb") as file:
            first, weights = pickle.load(file)
        first += 1
    writer = SummaryWriter("runs")
    for epoch in range(first, (1 if args.dry_run else args.epochs) + 1):
        for batch in range(20):
            images, labels = digits(generator, args.batch_size)
            scores = np.exp(images @ weights - (images @ weights).max(1, keepdims=True))
            chances = scores / scores.sum(1, keepdims=True)
            loss = -np.log(chances[np.arange(len(labels)), labels]).mean()
            weights -= args.lr * images.T @ (chances - np.eye(10)[labels]) / len(labels)
            if batch % args.log_interval == 0:
                print(f"Train Epoch: {epoch} [{batch * args.batch_size}]\tLoss: {loss:.6f}")
        writer.add_scalar("loss/train", loss, epoch)
        if args.save_model:
            with open("mnist_cnn.pt", "wb") as file:
                pickle.dump((epoch, weights), file)


if __name__ == "__main__":
    main()
