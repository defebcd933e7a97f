"""Classes told from a representation: by a linear probe, and by the nearest neighbour."""

import warnings
from collections.abc import Callable

import numpy as np

Predict = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (z, classes) -> classes
FOLDS = 5
MOST_CLASSES = 100


class NoClassesError(ValueError):
    """Labels that are no classes, or too few of each; its text says why."""


def classes_of(labels: np.ndarray) -> np.ndarray:
    """The number of each example's class, `[n]`, -1 where the label is missing (NaN).

    Raises:
        NoClassesError: unless the labels are words or whole numbers, of 2 to 100 kinds, two of
            which have 5 examples.
    """
    labels = np.asarray(labels)
    is_there = labels == labels
    if labels.dtype.kind == "f" and (labels[is_there] % 1).any():
        raise NoClassesError("the labels are numbers and no classes")
    names, numbers, counts = np.unique(labels[is_there], return_inverse=True, return_counts=True)
    if len(names) > MOST_CLASSES:
        raise NoClassesError(
            f"the labels have {len(names):,} values, more than {MOST_CLASSES} classes"
        )
    if (counts >= FOLDS).sum() < 2:
        raise NoClassesError(f"fewer than two classes have {FOLDS} examples here")
    classes = np.full(len(labels), -1)
    classes[is_there] = numbers
    return classes


def probe(z: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """1 where a linear probe of the other folds tells the class, else 0, `[n]`; NaN without one.

    The probe is multinomial logistic regression on `z` `[n, d]`, each column standardized, with the
    penalty |W|^2 / 2 beside the summed log loss (scikit-learn's default), in 5 stratified folds.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    with warnings.catch_warnings(), threadpool_limits(1):  # several wait for each other
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is a probe as it is
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        return _right(classes, lambda z, y: cross_val_predict(model, z, y, cv=folds), z)


def neighbour(z: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """1 where the nearest other example of `z` `[n, d]` has the same class, else 0, `[n]`."""
    from sklearn.neighbors import NearestNeighbors

    def nearest(z: np.ndarray, y: np.ndarray) -> np.ndarray:
        near = NearestNeighbors(n_neighbors=1).fit(z)
        return y[near.kneighbors(return_distance=False)[:, 0]]  # of none but the others

    return _right(classes, nearest, z)


def _right(classes: np.ndarray, predict: Predict, z: np.ndarray) -> np.ndarray:
    """Whether a prediction from z is right, for those that have a class."""
    has_class, right = classes >= 0, np.full(len(classes), np.nan)
    right[has_class] = predict(z[has_class], classes[has_class]) == classes[has_class]
    return right
