#!/usr/bin/env python3
"""What scipy, statsmodels and scikit-learn say of samples that drifted: tests/fixtures/drift/expected.json.

usage: make_fixtures.py            writes it
       make_fixtures.py --compare  changes nothing; exit 1 when it is not what is made now

The population stability index and the maximum mean discrepancy are the formulas of Evidently 0.7.23
(legacy/calculations/stattests: psi.py, utils.py) and alibi-detect 0.13.0 (utils/pytorch: mmd2_from_kernel_matrix,
sigma_median), written in numpy: neither package installs beside the pinned ones. Bets are those of Waudby-Smith and Ramdas
(2023), section B.3, with a prior.
"""

import argparse
import importlib.metadata
import json
import pathlib
import sys

import numpy as np
from scipy import stats
from scipy.spatial.distance import jensenshannon
from sklearn.linear_model import LogisticRegression
from statsmodels.stats.multitest import multipletests

ROOT = pathlib.Path(__file__).resolve().parents[3]
EXPECTED = ROOT / "tests/fixtures/drift/expected.json"
PINNED = {"numpy": "2.4.6", "scipy": "1.17.1", "scikit-learn": "1.9.1", "statsmodels": "0.15.0"}


def numbers(values, digits=4):
    return [round(float(v), digits) for v in np.ravel(values)]


def two_samples(rng):
    cases = []
    for n, m, shift, digits in [(5, 7, 0, 4), (40, 40, 0.5, 4), (100, 33, 1, 4), (60, 90, 0.2, 0), (300, 200, 0.9, 1),
                                (12, 500, 1.5, 4)]:
        a, b = numbers(rng.normal(0, 1, n), digits), numbers(rng.normal(shift, 1.2, m), digits)
        ks = stats.ks_2samp(a, b, method="exact")
        mw = stats.mannwhitneyu(b, a, alternative="greater", method="asymptotic")
        cases.append({"a": a, "b": b, "ks": ks.statistic, "ks_p": ks.pvalue, "auc": mw.statistic / (n * m), "mw_p": mw.pvalue})
    return cases


def large_sample(count, step, power):
    """The same numbers in the test: a permutation of (0, 1), bent by power."""
    return ((np.arange(1, count + 1) * step % 10007) / 10007.0) ** power


def large_ks():
    cases = []
    for n, m, power in [(6000, 5000, 1.0), (6000, 5000, 1.02), (8000, 4000, 1.06), (9000, 9000, 1.1)]:
        a, b = large_sample(n, 7919, 1.0), large_sample(m, 104729, power)
        ks = stats.ks_2samp(a, b, method="asymp")
        cases.append({"n": n, "m": m, "power": power, "ks": ks.statistic, "ks_p": ks.pvalue})
    return cases


def tables(rng):
    cases = []
    for k, n, m, tilt in [(2, 50, 60, 0), (5, 400, 100, 0.5), (9, 1000, 1000, 0.2), (6, 30, 3000, 1)]:
        shares = rng.dirichlet(np.ones(k))
        tilted = shares * np.exp(tilt * rng.normal(size=k))
        a, b = rng.multinomial(n, shares), rng.multinomial(m, tilted / tilted.sum())
        a[0], b[0] = max(a[0], 1), max(b[0], 1)
        if k == 6:
            b[-1] = 0
            a[-1] = max(a[-1], 1)
        used = (a + b) > 0
        a, b = a[used], b[used]
        test = stats.chi2_contingency([a, b], correction=False)
        cases.append({"a": a.tolist(), "b": b.tolist(), "statistic": test.statistic, "degrees": test.dof, "p": test.pvalue,
                      "psi": psi(a, b), "js": jensenshannon(a, b)})
    return cases


def filled(counts):
    shares = counts / counts.sum()
    least = shares[shares != 0].min()
    return np.where(shares == 0, least / 10**6 if least <= 0.0001 else 0.0001, shares)


def psi(a, b):
    r, w = filled(np.asarray(a, float)), filled(np.asarray(b, float))
    return float(np.sum((r - w) * np.log(r / w)))


def lengths(rng):
    cases = []
    for n, m, digits in [(100, 60, 3), (250, 250, 0)]:
        a, b = numbers(rng.gamma(2, 3, n), digits), numbers(rng.gamma(2, 4, m), digits)
        cases.append({"a": a, "b": b, "wasserstein": stats.wasserstein_distance(a, b)})
    return cases


def fisher():
    cases = []
    for a, n, b, m in [(3, 20, 9, 15), (0, 500, 12, 300), (250, 2000, 80, 1000), (5, 5000, 40, 900), (1000, 1000, 990, 1000)]:
        law = stats.hypergeom(n + m, a + b, n)
        cases.append({"a": a, "n": n, "b": b, "m": m, "p": min(1.0, 2 * min(law.cdf(a), law.sf(a - 1)))})
    return cases


def holm(rng):
    p_values = [0.01, 0.04, 0.03, 0.005, 0.04, 1.0, 0.2]
    others = numbers(rng.uniform(size=12) ** 3, 6)
    return [{"p": p, "adjusted": multipletests(p, method="holm")[1].tolist()} for p in (p_values, others, [0.2])]


def squared_distances(x):
    return np.maximum(((x[:, None] - x[None]) ** 2).sum(-1), 1e-30)


def mmd2(kernel, order, n):
    kernel = kernel[np.ix_(order, order)]
    kernel = kernel - np.diag(np.diag(kernel))
    m = len(kernel) - n
    return (kernel[:n, :n].sum() / (n * (n - 1)) + kernel[n:, n:].sum() / (m * (m - 1)) - 2 * kernel[n:, :n].mean())


def permuted(kernel, n, count, rng):
    """mmd2 under random orders, all at once."""
    size = len(kernel)
    kernel = kernel - np.diag(np.diag(kernel))
    m, sums = size - n, kernel.sum(1)
    null = []
    for _ in range(count // 10000):
        y = np.zeros((10000, size))
        np.put_along_axis(y, np.argsort(rng.random((10000, size)), 1)[:, :m], 1, 1)
        yy, of_y = ((y @ kernel) * y).sum(1), y @ sums
        xx, xy = sums.sum() - 2 * of_y + yy, of_y - yy
        null.append(xx / (n * (n - 1)) + yy / (m * (m - 1)) - 2 * xy / (n * m))
    return np.concatenate(null)


def mmd(rng):
    cases = []
    for n, m, d, shift in [(20, 15, 3, 0.0), (30, 30, 8, 0.5), (40, 20, 16, 0.45), (40, 40, 2, 0.9)]:
        x = np.round(rng.normal(size=(n, d)), 3)
        y = np.round(rng.normal(size=(m, d)) * 1.1 + shift, 3)
        both = np.concatenate([x, y])
        distances = squared_distances(both)
        size = n + m
        # sigma_median of the pooled sample against itself.
        sigma = (0.5 * np.sort(distances, axis=None)[size + (size * size - size) // 2 - 1]) ** 0.5
        gamma = 1 / (2 * sigma**2)
        kernel = np.exp(-gamma * distances)
        statistic = mmd2(kernel, np.arange(size), n)
        null = permuted(kernel, n, 1_000_000, rng)
        cases.append({"n": n, "m": m, "d": d, "x": numbers(x), "y": numbers(y), "gamma": gamma, "mmd2": statistic,
                      "p": float((1 + (null >= statistic).sum()) / (1 + len(null)))})
    return cases


def logistic(rng):
    cases = []
    for n, d, c in [(60, 4, 1.0), (50, 12, 0.01)]:
        x = np.round(rng.normal(size=(n, d)), 3)
        labels = (x[:, 0] + rng.normal(size=n) > 0.3).astype(int)
        model = LogisticRegression(C=c, tol=1e-10, max_iter=10000).fit(x, labels)
        cases.append({"d": d, "c": c, "x": numbers(x), "labels": labels.tolist(), "weights": model.coef_[0].tolist(),
                      "intercept": float(model.intercept_[0])})
    return cases


def betting(rng):
    cases = []
    for mean, bound in [(0.3, 0.3), (0.4, 0.3), (0.2, 0.3)]:
        values = numbers(rng.beta(mean * 8, (1 - mean) * 8, 60))
        weight, guess, squares, wealth = 20.0, 0.35, 0.03 * 20, 0.0
        for value in values:
            excess = guess - bound
            bet = min(max(excess / (squares / weight + excess**2), 0), 0.5 / bound)
            wealth += np.log(1 + bet * (value - bound))
            weight += 1
            off = value - guess
            guess += off / weight
            squares += off * (value - guess)
        cases.append({"values": values, "bound": bound, "guess_mean": 0.35, "guess_variance": 0.03, "wealth": float(wealth)})
    return cases


def make():
    rng = np.random.default_rng(20)
    return {"two_samples": two_samples(rng), "large_ks": large_ks(), "tables": tables(rng), "lengths": lengths(rng),
            "fisher": fisher(), "holm": holm(rng), "mmd": mmd(rng), "logistic": logistic(rng), "betting": betting(rng)}


def close(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(close(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(close, a, b))
    return a == b or abs(a - b) <= 1e-9 * max(abs(a), abs(b))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compare", action="store_true")
    arguments = parser.parse_args()
    for name, version in PINNED.items():
        if importlib.metadata.version(name) != version:
            sys.exit(f"{name} is {importlib.metadata.version(name)}, the references are made by {version}: "
                     "run tools/setup --reference")
    made = json.loads(json.dumps(make()))
    if arguments.compare:
        if not close(made, json.loads(EXPECTED.read_text())):
            sys.exit(f"{EXPECTED} is not what is made now")
        print("as committed")
        return
    EXPECTED.write_text(json.dumps(made) + "\n")
    print(f"wrote {EXPECTED}")


if __name__ == "__main__":
    main()
