#!/usr/bin/env python3
"""When cron expressions fire, by croniter: tests/fixtures/cron/expected.tsv.

usage: make_fixtures.py                writes it: 1,000 random expressions in twelve time zones, three firings each
       make_fixtures.py --compare      changes nothing; exit 1 when it is not what is made now
       make_fixtures.py --full FOLDER  writes 10,000 to FOLDER/cron.tsv, for tests/parity/cron

A line: expression, zone, start, then three firings after it (seconds since 1970). Half of the starts lie within two days
before a change of the clocks, with hours that it touches.

croniter and coordinator/retraining/cron.h differ by design in two things, where we follow vixie cron (its crontab(5));
both are mended here by leaving out firings of croniter's:
 1. It fires a fixed time that the clocks repeat twice; we fire it the first time only.
 2. It fires an expression whose minute or hour begins with a star once for what the clocks skip; we do not.
And no expression here has what croniter 7.0.0 reads wrongly (a range of one value, "5-5", as every value), or another way
(a range of all seven days as a star, so that the day of the month decides alone).
"""

import argparse
import datetime
import pathlib
import random
import sys
import zoneinfo

import croniter

ROOT = pathlib.Path(__file__).resolve().parents[3]
EXPECTED = ROOT / "tests/fixtures/cron/expected.tsv"
PINNED = {"croniter": "7.0.0", "tzdata": "2025.2"}
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "America/Sao_Paulo",
         "Africa/Casablanca", "Africa/Cairo", "America/Santiago", "Pacific/Apia", "America/St_Johns", "Europe/Dublin")
FIRST, LAST = 1704067200, 1893456000  # 2024 to 2029
MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()
DAYS = "SUN MON TUE WED THU FRI SAT".split()


def random_field(source, low, high, star):
    """A star with the given probability, else a step, a number, a range or a list."""
    kind = source.random() - star
    if kind < 0:
        return "*"
    if kind < 0.15:
        return f"*/{source.randint(2, max(2, (high - low) // 2))}"
    if kind < 0.4:
        return str(source.randint(low, high))
    first = source.randint(low, high - 1)
    last = source.randint(first + 1, high)
    if kind < 0.55:
        return f"{first}-{last}" if last - first < 6 or high > 7 else f"{first}-{first + 1}"
    if kind < 0.6:
        return f"{first}-{last}/{source.randint(2, 5)}"
    return ",".join(str(value) for value in sorted({source.randint(low, high) for _ in range(3)}))


def random_expression(source):
    month = source.choice((random_field(source, 1, 12, 0.7), source.choice(MONTHS)))
    weekday = source.choice((random_field(source, 0, 6, 0.5), source.choice(DAYS), "MON-FRI", "7"))
    return " ".join((random_field(source, 0, 59, 0.2), random_field(source, 0, 23, 0.25),
                     random_field(source, 1, 31, 0.6), month, weekday))


def near_change(source):
    hour = source.choice(("*", "*/2", "0", "1", "2", "3", "1-3", "2,3", "0-4"))
    return f"{random_field(source, 0, 59, 0.2)} {hour} * * {source.choice(('*', '*', 'SUN', '0,6'))}"


def changes(zone):
    """Hours at which the zone's clocks change."""
    offset = lambda time: datetime.datetime.fromtimestamp(time, zone).utcoffset()
    return [time for time in range(FIRST, LAST, 3600) if offset(time) != offset(time - 3600)]


def firings(expression, zone, start):
    """Three, or None when croniter finds none."""
    fields = expression.split()
    interval = fields[0].startswith("*") or fields[1].startswith("*")
    found, after = [], croniter.croniter(expression, datetime.datetime.fromtimestamp(start, zone))
    while len(found) < 3:
        try:
            time = after.get_next(datetime.datetime)
        except croniter.CroniterBadDateError:
            return None
        time = datetime.datetime.fromtimestamp(time.timestamp(), zone)
        if interval and not croniter.croniter.match(expression, time.replace(tzinfo=None)):
            continue
        if not interval and time.fold:
            continue
        found.append(int(time.timestamp()))
    return found


def make(count):
    source = random.Random(20261127)
    zones = {name: zoneinfo.ZoneInfo(name) for name in ZONES}
    known = {name: changes(zone) for name, zone in zones.items()}
    lines = []
    while len(lines) < count:
        name = source.choice(ZONES)
        if len(lines) % 2 and known[name]:
            expression, start = near_change(source), source.choice(known[name]) - source.randint(-7200, 48 * 3600)
        else:
            expression, start = random_expression(source), source.randint(FIRST, LAST)
        found = firings(expression, zones[name], start)
        if found:
            lines.append("\t".join([expression, name, str(start), *map(str, found)]))
    return "\n".join(lines) + "\n"


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--compare", action="store_true")
    arguments.add_argument("--full", type=pathlib.Path)
    arguments = arguments.parse_args()
    import importlib.metadata
    for package, wanted in PINNED.items():
        if importlib.metadata.version(package) != wanted:
            sys.exit(f"{package} is not {wanted}: run tools/setup --reference")
    zoneinfo.reset_tzpath([])  # the package's time zones, not this machine's
    if arguments.full:
        arguments.full.mkdir(parents=True, exist_ok=True)
        (arguments.full / "cron.tsv").write_text(make(10000))
        return
    made = make(1000)
    if arguments.compare:
        sys.exit(0 if EXPECTED.read_text() == made else f"{EXPECTED} is not what croniter says now")
    EXPECTED.parent.mkdir(parents=True, exist_ok=True)
    EXPECTED.write_text(made)


if __name__ == "__main__":
    main()
