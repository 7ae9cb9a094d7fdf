//! Exact numbers with a fraction: `decimal`, `numeric` and `money`.
//!
//! Source: SQL Server's documentation, "Precision, scale, and length (Transact-SQL)".

use std::fmt;

/// Most digits.
const MOST_DIGITS: u8 = 38;

/// Digits behind the point that a quotient has at least.
const LEAST_QUOTIENT_SCALE: u8 = 6;

/// An exact number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    /// All digits, as a whole number.
    pub unscaled: i128,
    /// Digits that the type has room for, 1 to 38.
    pub precision: u8,
    /// Those of them behind the point.
    pub scale: u8,
}

impl Decimal {
    /// A whole number, with room for `precision` digits.
    pub fn from_integer(number: i128, precision: u8) -> Self {
        Decimal { unscaled: number, precision, scale: 0 }
    }

    /// A literal such as `1.50`, whose type has room for its digits; none if it is no number or has
    /// more than 38 digits.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (sign, digits) = match text.strip_prefix('-') {
            Some(digits) => (-1, digits),
            None => (1, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let whole = whole.trim_start_matches('0');
        let all = format!("{whole}{fraction}");
        let is_number = digits.chars().any(|c| c.is_ascii_digit())
            && all.chars().all(|c| c.is_ascii_digit())
            && all.len() <= usize::from(MOST_DIGITS);
        if !is_number {
            return None;
        }
        let magnitude: i128 = if all.is_empty() { 0 } else { all.parse().ok()? };
        let size = |length: usize| u8::try_from(length).unwrap_or(MOST_DIGITS);
        Some(Decimal {
            unscaled: sign * magnitude,
            precision: size(all.len()).max(1),
            scale: size(fraction.len()),
        })
    }

    /// The same number, rounded, in another type; none if it has too many digits for it.
    pub fn fit(self, precision: u8, scale: u8) -> Option<Self> {
        let unscaled = match scale.checked_sub(self.scale) {
            Some(more) => self.unscaled.checked_mul(power(more)?)?,
            None => rounded(self.unscaled, power(self.scale - scale)?),
        };
        let fits = unscaled.unsigned_abs() < power(precision)?.unsigned_abs();
        fits.then_some(Decimal { unscaled, precision, scale })
    }

    /// The whole number that is left without the fraction.
    pub fn truncated(self) -> i128 {
        power(self.scale).map_or(0, |unit| self.unscaled / unit)
    }

    /// The nearest floating-point number.
    pub fn to_f64(self) -> f64 {
        self.unscaled as f64 / 10_f64.powi(self.scale.into())
    }

    /// Both with the same scale; none if one has too many digits then.
    pub fn aligned(self, other: Self) -> Option<(i128, i128)> {
        let scale = self.scale.max(other.scale);
        let scaled = |number: Self| number.unscaled.checked_mul(power(scale - number.scale)?);
        Some((scaled(self)?, scaled(other)?))
    }

    /// What a sum's, difference's or remainder's parts give with the same scale.
    fn sum_with(self, other: Self, unscaled: i128) -> Option<Self> {
        let scale = self.scale.max(other.scale);
        let whole = (self.precision - self.scale).max(other.precision - other.scale);
        limited(unscaled, whole + scale + 1, scale)
    }

    /// The sum; none if it has too many digits.
    pub fn plus(self, other: Self) -> Option<Self> {
        let (left, right) = self.aligned(other)?;
        self.sum_with(other, left.checked_add(right)?)
    }

    /// The difference; none if it has too many digits.
    pub fn minus(self, other: Self) -> Option<Self> {
        let (left, right) = self.aligned(other)?;
        self.sum_with(other, left.checked_sub(right)?)
    }

    /// The product; none if it has too many digits.
    pub fn times(self, other: Self) -> Option<Self> {
        let unscaled = self.unscaled.checked_mul(other.unscaled)?;
        limited(unscaled, self.precision + other.precision + 1, self.scale + other.scale)
    }

    /// The quotient; none if it has too many digits or the divisor is 0.
    pub fn divided_by(self, other: Self) -> Option<Self> {
        let wanted = LEAST_QUOTIENT_SCALE.max(self.scale + other.precision + 1);
        let whole = self.precision - self.scale + other.scale;
        let scale = wanted.min(MOST_DIGITS.saturating_sub(whole).max(LEAST_QUOTIENT_SCALE));
        let unscaled = self.unscaled.checked_mul(power(scale + other.scale - self.scale)?)?;
        limited(unscaled.checked_div(other.unscaled)?, whole + scale, scale)
    }

    /// The remainder; none if it has too many digits or the divisor is 0.
    pub fn remainder(self, other: Self) -> Option<Self> {
        let (left, right) = self.aligned(other)?;
        self.sum_with(other, left.checked_rem(right)?)
    }
}

/// A result whose type has at most 38 digits: others behind the point are rounded away.
fn limited(unscaled: i128, precision: u8, scale: u8) -> Option<Decimal> {
    let excess = precision.saturating_sub(MOST_DIGITS);
    let kept = scale.saturating_sub(excess).max(scale.min(LEAST_QUOTIENT_SCALE));
    Decimal { unscaled, precision, scale }.fit(precision.min(MOST_DIGITS), kept)
}

/// A power of ten; none if it is too large.
fn power(exponent: u8) -> Option<i128> {
    10_i128.checked_pow(exponent.into())
}

/// A quotient, half a unit rounded away from zero.
fn rounded(number: i128, unit: i128) -> i128 {
    let rest = number % unit;
    let away = if rest.unsigned_abs() * 2 >= unit.unsigned_abs() { number.signum() } else { 0 };
    number / unit + away
}

/// With all digits behind the point.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.unscaled < 0 { "-" } else { "" };
        let scale = usize::from(self.scale);
        let digits = format!("{:0>width$}", self.unscaled.unsigned_abs(), width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        let point = if scale > 0 { "." } else { "" };
        write!(f, "{sign}{whole}{point}{fraction}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    // Catches: digits lost or made up, a scale by another rule, rounding towards zero.
    #[rstest]
    #[case("1.5", '+', "2.25", "3.75", 4, 2)]
    #[case("1.5", '-', "2", "-0.5", 3, 1)]
    #[case("1.50", '*', "-2.0", "-3.000", 6, 3)]
    #[case("10", '/', "4.0", "2.500000", 9, 6)]
    #[case("1", '/', "3.0", "0.333333", 8, 6)]
    #[case("7.5", '%', "2", "1.5", 3, 1)]
    #[case("-0.001", '+', "0", "-0.001", 5, 3)]
    fn results_have_the_documented_type(
        #[case] left: &str,
        #[case] operator: char,
        #[case] right: &str,
        #[case] text: &str,
        #[case] precision: u8,
        #[case] scale: u8,
    ) {
        let [left, right] = [left, right].map(|text| Decimal::parse(text).unwrap());
        let result = match operator {
            '+' => left.plus(right),
            '-' => left.minus(right),
            '*' => left.times(right),
            '/' => left.divided_by(right),
            _ => left.remainder(right),
        };
        let result = result.unwrap();
        assert_eq!(result.to_string(), text);
        assert_eq!((result.precision, result.scale), (precision, scale));
    }

    // Catches: rounding that is not to the nearest, a number that does not fit taken.
    #[test]
    fn a_number_fits_or_does_not() {
        let fit = |text: &str, precision, scale| {
            Decimal::parse(text).unwrap().fit(precision, scale).map(|number| number.to_string())
        };
        assert_eq!(fit("3.14159", 5, 2).as_deref(), Some("3.14"));
        assert_eq!(fit("-2.5", 3, 0).as_deref(), Some("-3"));
        assert_eq!(fit("999.995", 5, 2), None);
        assert_eq!(fit("7", 10, 4).as_deref(), Some("7.0000"));
        assert_eq!(Decimal::parse(&"9".repeat(39)), None);
        assert_eq!(Decimal::parse("."), None);
    }

    proptest! {
        // Catches: an overflow that panics, a result with more digits than its type has room for.
        #[test]
        fn results_fit_their_types(
            numbers in prop::array::uniform2((any::<i128>(), 1_u8..=38, 0_u8..=38)),
        ) {
            let [left, right] = numbers.map(|(unscaled, precision, scale)| {
                let unscaled = unscaled % 10_i128.pow(precision.into());
                Decimal { unscaled, precision, scale: scale.min(precision) }
            });
            let results = [
                left.plus(right), left.minus(right), left.times(right), left.divided_by(right),
                left.remainder(right),
            ];
            for result in results.into_iter().flatten() {
                prop_assert!(result.precision <= 38 && result.scale <= result.precision);
                prop_assert!(result.unscaled.unsigned_abs() < 10_u128.pow(result.precision.into()));
                let text = result.to_string();
                prop_assert_eq!(Decimal::parse(&text).unwrap().unscaled, result.unscaled);
            }
        }
    }
}
