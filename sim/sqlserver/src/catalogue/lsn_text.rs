//! Log sequence numbers in the catalogue's file: as the decimal text that HEADERONLY shows.

use mtf::Lsn;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

pub(super) fn serialize<S: Serializer>(lsn: &Lsn, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(lsn)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Lsn, D::Error> {
    let text = String::deserialize(deserializer)?;
    let lsn = text.parse().ok().and_then(Lsn::from_decimal);
    lsn.ok_or_else(|| D::Error::custom(format!("'{text}' is no log sequence number")))
}
