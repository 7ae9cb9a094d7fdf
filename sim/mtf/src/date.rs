//! Dates of the tape format.

use std::fmt;

use serde::{Serialize, Serializer};

/// A local date and time to the second, or "unknown" (spec: MTF 1.00a, `MTF_DATE_TIME`: 40 bits,
/// big-endian, year 14, month 4, day 5, hour 5, minute 6, second 6).
///
/// Ordered by time; unknown comes first. Any 40 bits are accepted from a stream, so the parts may
/// be out of their ranges.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MediaDate(u64);

impl MediaDate {
    /// No date.
    pub const UNKNOWN: Self = Self(0);

    /// A date from its parts; none if one is out of its range (years 1 to 9999).
    pub fn new(year: u16, month: u8, day: u8, hour: u8, minute: u8, second: u8) -> Option<Self> {
        let fits = (1..=9999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=31).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60;
        fits.then(|| {
            let date = u64::from(year) << 26 | u64::from(month) << 22 | u64::from(day) << 17;
            Self(date | u64::from(hour) << 12 | u64::from(minute) << 6 | u64::from(second))
        })
    }

    pub(crate) fn from_bytes(bytes: [u8; 5]) -> Self {
        Self(bytes.iter().fold(0, |bits, byte| bits << 8 | u64::from(*byte)))
    }

    pub(crate) fn to_bytes(self) -> [u8; 5] {
        let [_, _, _, bytes @ ..] = self.0.to_be_bytes();
        bytes
    }

    /// Whether there is no date.
    pub fn is_unknown(self) -> bool {
        self == Self::UNKNOWN
    }

    /// Year.
    pub fn year(self) -> u16 {
        (self.0 >> 26) as u16
    }

    /// Month, 1 to 12.
    pub fn month(self) -> u8 {
        (self.0 >> 22 & 15) as u8
    }

    /// Day, 1 to 31.
    pub fn day(self) -> u8 {
        (self.0 >> 17 & 31) as u8
    }

    /// Hour, 0 to 23.
    pub fn hour(self) -> u8 {
        (self.0 >> 12 & 31) as u8
    }

    /// Minute.
    pub fn minute(self) -> u8 {
        (self.0 >> 6 & 63) as u8
    }

    /// Second.
    pub fn second(self) -> u8 {
        (self.0 & 63) as u8
    }
}

impl fmt::Display for MediaDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_unknown() {
            return f.write_str("unknown");
        }
        let (year, month, day) = (self.year(), self.month(), self.day());
        let (hour, minute, second) = (self.hour(), self.minute(), self.second());
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
    }
}

impl fmt::Debug for MediaDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MediaDate({self})")
    }
}

/// ISO 8601 without a zone, or null when unknown.
impl Serialize for MediaDate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.is_unknown() { serializer.serialize_none() } else { serializer.collect_str(self) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_the_parts_as_a_real_media_header_does() {
        let date = MediaDate::new(2022, 5, 3, 23, 41, 3).unwrap();
        assert_eq!(date.to_bytes(), [0x1f, 0x99, 0x47, 0x7a, 0x43]);
        assert_eq!(MediaDate::from_bytes(date.to_bytes()), date);
        assert_eq!(date.to_string(), "2022-05-03T23:41:03");
        assert_eq!(MediaDate::new(2022, 13, 3, 0, 0, 0), None);
    }
}
