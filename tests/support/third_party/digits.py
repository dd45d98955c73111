"""Classifies scikit-learn's digits by a linear model."""

import argparse
import pickle

from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import train_test_split

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--alpha", type=float, default=1e-4, help="strength of the regularisation")
parser.add_argument("--epochs", type=int, default=20, help="passes over the images")
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()
x, y = load_digits(return_X_y=True)
x, test_x, y, test_y = train_test_split(x / 16, y, random_state=args.seed)
model = SGDClassifier(alpha=args.alpha, max_iter=args.epochs, tol=None, random_state=args.seed).fit(x, y)
print(f"accuracy {model.score(test_x, test_y):.4f}")
ConfusionMatrixDisplay.from_estimator(model, test_x, test_y).figure_.savefig("confusion.png")
with open("model.pkl", "wb") as file:
    pickle.dump(model, file)
