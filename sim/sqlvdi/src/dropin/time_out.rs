//! What a client's time-out means.

use std::time::Duration;

use vdi_device::Timeout;

/// From here on a time-out is infinite: clients write INFINITE as -1, 0x7FFFFFFF or 0xFFFFFFFF.
const INFINITE: i64 = 0x7FFF_FFFF;

/// The unit of the time-outs of GetConfiguration and GetCommand.
///
/// The documentation says milliseconds, the comment in the sample client seconds.
/// Source: VDI on Linux, GetConfiguration and GetCommand; vdipipesample.cpp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeUnit {
    Milliseconds,
    Seconds,
}

impl TimeUnit {
    /// The unit that VDISIM_TIMEOUT_UNIT names: `ms`, also when it is not set, or `s`.
    /// `None` for anything else.
    pub(super) fn named(name: Option<&str>) -> Option<TimeUnit> {
        match name {
            None | Some("" | "ms") => Some(TimeUnit::Milliseconds),
            Some("s") => Some(TimeUnit::Seconds),
            Some(_) => None,
        }
    }

    /// A time-out as the client passed it: negative or at least 0x7FFFFFFF waits for ever.
    pub(super) fn timeout(self, value: i64) -> Timeout {
        let value = u64::try_from(value).ok().filter(|_| value < INFINITE)?;
        Some(match self {
            TimeUnit::Milliseconds => Duration::from_millis(value),
            TimeUnit::Seconds => Duration::from_secs(value),
        })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// Catches: a boundary off by one, a unit mixed up, INFINITE of a Windows habit as 49 days.
    #[rstest]
    #[case(0, Some(0))]
    #[case(90, Some(90))]
    #[case(0x7FFF_FFFE, Some(0x7FFF_FFFE))]
    #[case(0x7FFF_FFFF, None)]
    #[case(0xFFFF_FFFF, None)]
    #[case(i64::MAX, None)]
    #[case(-1, None)]
    #[case(i64::MIN, None)]
    fn bounds(#[case] value: i64, #[case] units: Option<u64>) {
        assert_eq!(TimeUnit::Milliseconds.timeout(value), units.map(Duration::from_millis));
        assert_eq!(TimeUnit::Seconds.timeout(value), units.map(Duration::from_secs));
    }

    /// Catches: taking a typing error for one of the units without a word.
    #[test]
    fn only_known_units_have_a_meaning() {
        assert_eq!(TimeUnit::named(None), Some(TimeUnit::Milliseconds));
        assert_eq!(TimeUnit::named(Some("ms")), Some(TimeUnit::Milliseconds));
        assert_eq!(TimeUnit::named(Some("s")), Some(TimeUnit::Seconds));
        assert_eq!(TimeUnit::named(Some("S")), None);
        assert_eq!(TimeUnit::named(Some("sec")), None);
    }
}
