#!/usr/bin/env python3
"""What scipy, statsmodels and scikit-learn make of the data that gates decide by: tests/fixtures/gates/intervals.json.

usage: make_fixtures.py            writes it
       make_fixtures.py --compare  changes nothing; exit 1 when it is not what is made now

Of a bootstrap it keeps the data, scipy's resampled statistics and the interval out of them (which ours must equal to
1e-9), and the interval of 200,000 resamples (which ours must meet within the noise of its resampling). Tango's interval,
which none of the packages has, is found by its definition: the differences that the score test does not reject, with the
nuisance parameter where scipy's optimizer finds the likelihood's maximum.
"""

import argparse
import json
import pathlib
import sys
import warnings

import numpy
import scipy
import scipy.optimize
import scipy.stats
import sklearn
import sklearn.metrics
import statsmodels
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

ROOT = pathlib.Path(__file__).resolve().parents[3]
EXPECTED = ROOT / "tests/fixtures/gates/intervals.json"
PINNED = {"numpy": "2.4.6", "scipy": "1.17.1", "sklearn": "1.9.1", "statsmodels": "0.15.0"}


def proportions():
    for successes, trials in ((0, 10), (1, 10), (5, 10), (10, 10), (37, 50), (0, 3), (999, 1000), (3, 1000), (61234, 100000)):
        for confidence in (0.8, 0.9, 0.95, 0.99):
            case = {"successes": successes, "trials": trials, "confidence": confidence}
            for key, method in (("clopper_pearson", "beta"), ("wilson", "wilson")):
                low, high = proportion_confint(successes, trials, alpha=1 - confidence, method=method)
                case[key] = [float(low), float(high)]
            yield case


def tango(b, c, n, confidence):
    """The interval for (b - c) / n, with the likelihood maximized by a search."""
    z = scipy.stats.norm.isf((1 - confidence) / 2)

    def statistic(delta):
        def negative_log_likelihood(q):
            cells = ((c, q), (b, q + delta), (n - b - c, 1 - 2 * q - delta))
            return -sum(scipy.special.xlogy(count, max(p, 0.0)) for count, p in cells)

        low, high = max(0.0, -delta), (1 - delta) / 2
        found = scipy.optimize.minimize_scalar(
            negative_log_likelihood, bounds=(low, high), method="bounded", options={"xatol": 1e-13})
        q = min((low, high, found.x), key=negative_log_likelihood)
        return (b - c - n * delta) / numpy.sqrt(n * (2 * q + delta * (1 - delta)))

    middle, edge = (b - c) / n, 1 - 1e-9
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        low = scipy.optimize.brentq(lambda d: statistic(d) - z, -edge, middle - 1e-9) if middle > -1 else -1.0
        high = scipy.optimize.brentq(lambda d: statistic(d) + z, middle + 1e-9, edge) if middle < 1 else 1.0
    return [float(low), float(high)]


def paired_shares():
    for b, c, n in ((0, 0, 20), (1, 0, 30), (5, 5, 50), (12, 3, 200), (3, 12, 200), (0, 9, 40), (40, 60, 1000), (7, 0, 7)):
        pmf = float(scipy.stats.binom.pmf(min(b, c), b + c, 0.5))
        exact = float(mcnemar([[0, b], [c, 0]], exact=True).pvalue)
        mid_p = 1 - pmf / 2 if b == c else 2 * float(scipy.stats.binom.cdf(min(b, c), b + c, 0.5)) - pmf
        yield {"first_only": b, "second_only": c, "pairs": n, "exact": exact, "mid_p": 1.0 if b + c == 0 else mid_p,
               "intervals": [{"confidence": level, "tango": tango(b, c, n, level)} for level in (0.9, 0.95)]}


def bootstraps():
    generator = numpy.random.default_rng(5)

    def ratio_difference(a, b, tokens, axis):
        total = tokens.sum(axis)
        return a.sum(axis) / total - b.sum(axis) / total

    def mean(a, axis):
        return a.mean(axis)

    tokens = generator.integers(3, 200, 40).astype(float)
    old = tokens * generator.gamma(4, 0.5, 40)
    new = old * generator.normal(0.97, 0.05, 40) + 0.02 * tokens
    skewed = generator.exponential(1.0, 15)
    for name, data, statistic in (("loss difference", (new, old, tokens), ratio_difference), ("mean", (skewed,), mean)):
        for level in (0.9, 0.98):
            def run(resamples):
                return scipy.stats.bootstrap(
                    data, statistic, paired=True, vectorized=True, n_resamples=resamples, batch=1000,
                    confidence_level=level, method="BCa", rng=numpy.random.default_rng(9))

            few, many = run(499), run(200000)
            yield {"name": name, "data": [column.tolist() for column in data], "confidence": level,
                   "estimate": float(statistic(*data, axis=-1)),
                   "resampled": few.bootstrap_distribution.tolist(), "interval": list(map(float, few.confidence_interval)),
                   "long_run": list(map(float, many.confidence_interval)), "standard_error": float(many.standard_error)}


def classifications():
    generator = numpy.random.default_rng(6)
    for classes, examples in ((2, 30), (5, 200), (8, 40)):
        labels = generator.integers(0, classes, examples)
        right = generator.random(examples) < 0.7
        predicted = numpy.where(right, labels, generator.integers(0, classes, examples))
        confidence = generator.random(examples)
        confidence[:3] = (0.0, 1.0, 3 / 15)
        # Guo et al. 2017, as in their published code: bins (lower, upper]; a confidence of 0 joins the first.
        edges = numpy.linspace(0, 1, 16)
        bins = numpy.clip(numpy.searchsorted(edges, confidence, side="left") - 1, 0, 14)
        error = sum((bins == b).mean() * abs((labels == predicted)[bins == b].mean() - confidence[bins == b].mean())
                    for b in range(15) if (bins == b).any())
        yield {"labels": labels.tolist(), "predicted": predicted.tolist(), "confidence": confidence.tolist(),
               "macro_f1": float(sklearn.metrics.f1_score(labels, predicted, average="macro", zero_division=0)),
               "calibration_error": float(error)}


def expanded():
    for confidence in (0.9, 0.98):
        for n in (5, 10, 100, 10000):
            t = scipy.stats.t.isf((1 - confidence) / 2, n - 1)
            yield {"confidence": confidence, "examples": n,
                   "expanded": float(1 - 2 * scipy.stats.norm.cdf(-numpy.sqrt(n / (n - 1)) * t))}


def differences(path, made, kept):
    if isinstance(made, float) or isinstance(kept, float):
        if not abs(made - kept) <= 1e-9 * max(1.0, abs(kept)):
            yield f"{path}: {made} instead of {kept}"
    elif isinstance(made, dict) and isinstance(kept, dict) and made.keys() == kept.keys():
        for key in made:
            yield from differences(f"{path}.{key}", made[key], kept[key])
    elif isinstance(made, list) and isinstance(kept, list) and len(made) == len(kept):
        for i, pair in enumerate(zip(made, kept)):
            yield from differences(f"{path}[{i}]", *pair)
    elif made != kept:
        yield f"{path}: {made} instead of {kept}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compare", action="store_true")
    options = parser.parse_args()
    for module in (numpy, scipy, sklearn, statsmodels):
        if module.__version__ != PINNED[module.__name__]:
            raise SystemExit(f"{module.__name__} is {module.__version__}, not {PINNED[module.__name__]}")
    made = {part.__name__: list(part()) for part in (proportions, paired_shares, bootstraps, classifications, expanded)}
    if options.compare:
        found = list(differences("", made, json.loads(EXPECTED.read_text(encoding="utf-8"))))
        print("\n".join(found[:20]) or "the references are the same")
        sys.exit(1 if found else 0)
    parts = (f'"{name}": [\n' + ",\n".join(json.dumps(case) for case in cases) + "\n]" for name, cases in made.items())
    EXPECTED.write_text("{" + ",\n".join(parts) + "}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
