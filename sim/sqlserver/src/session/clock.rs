//! Local time.

use jiff::Zoned;
use jiff::civil::DateTime;

/// Now, local time.
pub(crate) fn now() -> DateTime {
    Zoned::now().datetime()
}
