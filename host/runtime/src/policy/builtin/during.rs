//! Hours of the day and days of the week.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use convoke_policy::Now;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

const DAY: u16 = 24 * 60;

/// Hours of the day in the user's time zone, written `22:00-06:00`: from the first on, until before the second, over
/// midnight where that is earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hours {
    /// In minutes since midnight, less than a day.
    from: u16,
    /// In minutes since midnight, up to a day.
    to: u16,
}

/// What are no hours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("hours are written like 22:00-06:00")]
pub struct NotHours;

impl FromStr for Hours {
    type Err = NotHours;
    fn from_str(text: &str) -> Result<Self, NotHours> {
        let (from, to) = text.split_once('-').ok_or(NotHours)?;
        let (from, to) = (minute(from)?, minute(to)?);
        if from == to || from == DAY || to == 0 { Err(NotHours) } else { Ok(Self { from, to }) }
    }
}

/// A minute of the day, up to 24:00.
fn minute(text: &str) -> Result<u16, NotHours> {
    let (hour, minute) = text.trim().split_once(':').ok_or(NotHours)?;
    let number = |text: &str| match text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => text.parse::<u16>().map_err(|_| NotHours),
        false => Err(NotHours),
    };
    let (hour, minute) = (number(hour)?, number(minute)?);
    let all = hour * 60 + minute;
    if minute < 60 && all <= DAY { Ok(all) } else { Err(NotHours) }
}

impl TryFrom<String> for Hours {
    type Error = NotHours;
    fn try_from(text: String) -> Result<Self, NotHours> {
        text.parse()
    }
}

impl From<Hours> for String {
    fn from(hours: Hours) -> Self {
        hours.to_string()
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.from, self.to);
        write!(out, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)
    }
}

impl JsonSchema for Hours {
    fn schema_name() -> Cow<'static, str> {
        "Hours".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "Hours of the day in the user's time zone: from the first on, until before the second, over \
                            midnight where that is earlier. Like 22:00-06:00.",
            "pattern": "^\\s*\\d\\d:\\d\\d\\s*-\\s*\\d\\d:\\d\\d\\s*$",
        })
    }
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Weekday {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

/// When something holds: at these hours, of these days. What begins before midnight belongs to the day on which it began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct During<'a> {
    /// At these hours; none: all day.
    pub hours: Option<Hours>,
    /// On these days; empty: each day.
    pub weekdays: &'a [Weekday],
}

impl During<'_> {
    /// Whether it holds at that time.
    pub fn holds(&self, now: &Now) -> bool {
        self.holds_at(u16::from(now.hour) * 60 + u16::from(now.minute), now.weekday)
    }

    /// `minute`: of the day; `weekday`: 1 is Monday.
    fn holds_at(&self, minute: u16, weekday: u8) -> bool {
        let Some(Hours { from, to }) = self.hours else { return self.has(weekday) };
        if from < to {
            return (from..to).contains(&minute) && self.has(weekday);
        }
        let yesterday = if weekday <= 1 { 7 } else { weekday - 1 };
        (minute >= from && self.has(weekday)) || (minute < to && self.has(yesterday))
    }

    fn has(&self, weekday: u8) -> bool {
        self.weekdays.is_empty() || self.weekdays.iter().any(|day| *day as u8 + 1 == weekday)
    }

    /// How many milliseconds it is until it holds, by the clock that `now` shows; none: it never does.
    pub fn begins_in_ms(&self, now: &Now) -> Option<u64> {
        let start = u32::from(now.hour) * 60 + u32::from(now.minute);
        let day = u32::from(DAY);
        let minutes = (0..=7 * day).find(|later| {
            let at = start + later;
            let weekday = (u32::from(now.weekday.clamp(1, 7)) - 1 + at / day) % 7 + 1;
            self.holds_at((at % day) as u16, weekday as u8)
        })?;
        let into_minute = now.unix_ms % 60_000;
        Some((u64::from(minutes) * 60_000).saturating_sub(into_minute))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: u8, minute: u8, weekday: u8) -> Now {
        Now::new(0, hour, minute, weekday)
    }

    #[test]
    fn hours_are_read_and_written_and_nonsense_is_refused() {
        for text in ["22:00-06:00", "00:00-24:00", "09:30-17:45"] {
            assert_eq!(text.parse::<Hours>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "22-6",
            "22:00",
            "25:00-26:00",
            "24:00-06:00",
            "10:00-10:00",
            "-1:00-02:00",
            "1:00-2:00",
            "10:60-11:00",
        ] {
            assert_eq!(text.parse::<Hours>(), Err(NotHours), "{text}");
        }
    }

    #[test]
    fn hours_over_midnight_belong_to_the_day_on_which_they_begin() {
        let friday_night = During { hours: Some("22:00-06:00".parse().unwrap()), weekdays: &[Weekday::Fri] };
        for (now, holds) in [
            (at(22, 0, 5), true),
            (at(5, 59, 6), true),
            (at(6, 0, 6), false),
            (at(22, 0, 6), false),
            (at(3, 0, 5), false),
            (at(21, 59, 5), false),
        ] {
            assert_eq!(friday_night.holds(&now), holds, "{now:?}");
        }
        let sunday_night = During { hours: friday_night.hours, weekdays: &[Weekday::Sun] };
        assert!(sunday_night.holds(&at(1, 0, 1)));
        assert!(During::default().holds(&at(0, 0, 3)));
    }

    #[test]
    fn how_long_it_is_until_then() {
        let office = During {
            hours: Some("09:00-17:00".parse().unwrap()),
            weekdays: &[Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri],
        };
        let wait = |now: Now| office.begins_in_ms(&now).map(|ms| ms / 60_000);
        assert_eq!(wait(at(8, 30, 1)), Some(30));
        assert_eq!(wait(at(10, 0, 1)), Some(0));
        assert_eq!(wait(at(17, 0, 5)), Some((7 + 24 + 24 + 9) * 60));
        assert_eq!(office.begins_in_ms(&Now::new(20_000, 8, 59, 1)), Some(40_000));
    }
}
