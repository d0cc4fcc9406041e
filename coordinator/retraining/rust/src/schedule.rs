//! When an expression fires. Croner parses it and says which dates and times match; what becomes of times that a
//! change of the clocks skips or repeats is decided here, after vixie cron (see `attune_cron.h`).

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::Tz;
use croner::parser::{CronParser, Seconds, Year};
use croner::Cron;

use crate::Failure;

const EXPRESSION_BYTES_MAX: usize = 256;
/// The fifth Monday of February comes every 28 years, 40 where a century has no leap year.
const YEARS_MAX: i64 = 45;
/// A larger change of the clocks is a change of the zone: what it skips is gone.
const SHIFT_MAX: i64 = 3 * 3600;
const FIELDS: [(&str, &str); 6] = [
    ("second", "0-59"),
    ("minute", "0-59"),
    ("hour", "0-23"),
    ("day of the month", "1-31, L, 15W"),
    ("month", "1-12, JAN-DEC"),
    ("day of the week", "0-7, SUN-SAT, 5L, 1#2"),
];

pub struct Schedule {
    cron: Cron,
    zone: Tz,
    /// Minute or hour begin with a star: it goes by time that passes, not by the clock on the wall.
    interval: bool,
}

/// What the clocks do at `at`, the first second with the new offset.
struct Change {
    at: i64,
    before: i64,
    after: i64,
}

impl Schedule {
    pub fn parse(expression: &str, timezone: &str) -> Result<Self, Failure> {
        let zone: Tz = timezone
            .parse()
            .map_err(|_| Failure::Invalid(format!("'{timezone}' is no IANA time zone such as Europe/Berlin or UTC")))?;
        if expression.len() > EXPRESSION_BYTES_MAX || !expression.is_ascii() {
            return Err(Failure::Invalid(format!("more than {EXPRESSION_BYTES_MAX} characters, or not ASCII")));
        }
        let expression = expand(expression.trim());
        let mut fields: Vec<&str> = expression.split_whitespace().collect();
        if fields.len() != 5 && fields.len() != 6 {
            return Err(Failure::Invalid(format!(
                "it has {} fields; write five (minute, hour, day of the month, month, day of the week), or six with \
                 seconds first",
                fields.len()
            )));
        }
        if fields.len() == 5 {
            fields.insert(0, "0");
        }
        for (i, field) in fields.iter().enumerate() {
            check_field(i, field)?;
        }
        let cron = parser().parse(&fields.join(" ")).map_err(|e| Failure::Invalid(e.to_string()))?;
        let interval = fields[1].starts_with('*') || fields[2].starts_with('*');
        Ok(Schedule { cron, zone, interval })
    }

    /// The first firing after a time, both in seconds since 1970.
    pub fn next(&self, after: i64) -> Result<i64, Failure> {
        let mut from = after.checked_add(1).ok_or_else(out_of_range)?;
        if !self.interval {
            from = self.past_repetition(from)?;
        }
        let limit = from.checked_add(YEARS_MAX * 366 * 86400).ok_or_else(out_of_range)?;
        while from < limit {
            let offset = self.offset(from)?;
            let found = self.next_local(local_time(from, offset)?)?.and_utc().timestamp() - offset;
            let Some(change) = self.change_between(from, found)? else {
                return Ok(found);
            };
            from = change.at;
            let shift = change.after - change.before;
            if self.interval || shift.abs() > SHIFT_MAX {
                continue;
            }
            if shift > 0 {
                // What the jump skips fires once, as it happens.
                if found - change.at < shift {
                    return Ok(change.at);
                }
            } else {
                from = change.at - shift;  // the wall clock has been there already
            }
        }
        Err(self.never())
    }

    /// "Mon 2026-11-30 03:00:00 CET".
    pub fn local(&self, time: i64) -> Result<String, Failure> {
        let time = DateTime::<Utc>::from_timestamp(time, 0).ok_or_else(out_of_range)?;
        Ok(time.with_timezone(&self.zone).format("%a %Y-%m-%d %H:%M:%S %Z").to_string())
    }

    fn never(&self) -> Failure {
        Failure::Never(format!("it fires in none of the next {YEARS_MAX} years: no date is like that"))
    }

    fn offset(&self, time: i64) -> Result<i64, Failure> {
        let utc = DateTime::<Utc>::from_timestamp(time, 0).ok_or_else(out_of_range)?.naive_utc();
        Ok(i64::from(self.zone.offset_from_utc_datetime(&utc).fix().local_minus_utc()))
    }

    /// The first change of the clocks in (from, to]. Two within a day count as none, or as one.
    fn change_between(&self, from: i64, to: i64) -> Result<Option<Change>, Failure> {
        let before = self.offset(from)?;
        let mut low = from;
        while low < to {
            let mut high = (low + 86400).min(to);
            if self.offset(high)? == before {
                low = high;
                continue;
            }
            while high - low > 1 {
                let middle = low + (high - low) / 2;
                if self.offset(middle)? == before {
                    low = middle;
                } else {
                    high = middle;
                }
            }
            return Ok(Some(Change { at: high, before, after: self.offset(high)? }));
        }
        Ok(None)
    }

    /// Where the wall clock stands at `time` for the second time: when it gets beyond that. Else `time`.
    fn past_repetition(&self, time: i64) -> Result<i64, Failure> {
        let Some(change) = self.change_between(time - SHIFT_MAX, time)? else {
            return Ok(time);
        };
        let back = change.before - change.after;
        Ok(if back > 0 && back <= SHIFT_MAX { time.max(change.at + back) } else { time })
    }

    /// The first match at or after a wall-clock time, as if clocks never changed.
    fn next_local(&self, from: NaiveDateTime) -> Result<NaiveDateTime, Failure> {
        let mut date = from.date();
        let mut time = from.time();
        for _ in 0..YEARS_MAX * 366 {
            if self.matches_date(date)? {
                if let Some(found) = self.next_in_day(time)? {
                    return Ok(date.and_time(found));
                }
            }
            date = date.succ_opt().ok_or_else(out_of_range)?;
            time = NaiveTime::MIN;
        }
        Err(self.never())
    }

    fn matches_date(&self, date: NaiveDate) -> Result<bool, Failure> {
        use chrono::Datelike;
        let pattern = &self.cron.pattern;
        let (year, month, day) = (date.year(), date.month(), date.day());
        Ok(pattern.month_match(month).map_err(refused)? && pattern.day_match(year, month, day).map_err(refused)?)
    }

    fn next_in_day(&self, from: NaiveTime) -> Result<Option<NaiveTime>, Failure> {
        let pattern = &self.cron.pattern;
        for hour in from.hour()..24 {
            if !pattern.hour_match(hour).map_err(refused)? {
                continue;
            }
            let first_minute = if hour == from.hour() { from.minute() } else { 0 };
            for minute in first_minute..60 {
                if !pattern.minute_match(minute).map_err(refused)? {
                    continue;
                }
                let same = hour == from.hour() && minute == from.minute();
                for second in if same { from.second() } else { 0 }..60 {
                    if pattern.second_match(second).map_err(refused)? {
                        return Ok(NaiveTime::from_hms_opt(hour, minute, second));
                    }
                }
            }
        }
        Ok(None)
    }
}

fn parser() -> CronParser {
    CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build()
}

fn expand(expression: &str) -> String {
    let lower = expression.to_ascii_lowercase();
    match lower.as_str() {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        _ => expression,
    }
    .to_string()
}

/// One field alone, so that an error can name it. Croner takes empty items of a list.
fn check_field(index: usize, field: &str) -> Result<(), Failure> {
    let (name, allowed) = FIELDS[index];
    let wrong = |why: &str| Failure::Invalid(format!("the {name}, '{field}', is not valid: {why} (allowed: {allowed})"));
    if field.split(',').any(str::is_empty) {
        return Err(wrong("an item of the list is empty"));
    }
    let mut alone = ["*"; 6];
    alone[index] = field;
    parser().parse(&alone.join(" ")).map(|_| ()).map_err(|e| {
        let message = e.to_string();
        let (_, detail) = message.split_once(": ").unwrap_or(("", &message));
        wrong(detail.trim_end_matches('.'))
    })
}

fn local_time(time: i64, offset: i64) -> Result<NaiveDateTime, Failure> {
    DateTime::<Utc>::from_timestamp(time, 0)
        .and_then(|utc| utc.naive_utc().checked_add_signed(TimeDelta::try_seconds(offset)?))
        .ok_or_else(out_of_range)
}

fn out_of_range() -> Failure {
    Failure::Invalid("a time beyond what calendars have".to_string())
}

fn refused(error: croner::errors::CronError) -> Failure {
    Failure::Invalid(error.to_string())
}
