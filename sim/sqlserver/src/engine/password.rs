//! Passwords of media and of backup sets.
//!
//! Only their hashes are on the media. How a real server hashes is not public, so a real backup with
//! a password opens with none that this server could be given, as one with a wrong password.

use mtf::{Field, Kind, Record, Sset, Tape, TextRef};
use sha2::{Digest, Sha256};

use super::family_sink::Head;
use crate::messages::Message;
use crate::session::TransferPlan;

/// The hash of a password on the media.
pub(super) fn hash(password: &str) -> [u8; 16] {
    let digest = Sha256::digest(password.as_bytes());
    std::array::from_fn(|index| digest[index])
}

/// Checks the passwords of a statement against those of the media.
///
/// # Errors
///
/// 3279 if the media or the set has a password, and another one or none was given.
pub(super) fn check(plan: &TransferPlan, head: &Head) -> Result<(), Message> {
    check_media(plan, &head.tape)?;
    let set = opens(&head.set, Sset::PASSWORD, plan.password.as_deref());
    if set { Ok(()) } else { Err(Message::new(3279, &[])) }
}

/// Checks the media password of a statement.
///
/// # Errors
///
/// 3279 if the media has one, and another one or none was given.
pub(super) fn check_media(plan: &TransferPlan, tape: &Record<Tape>) -> Result<(), Message> {
    let media = opens(tape, Tape::PASSWORD, plan.media_password.as_deref());
    if media { Ok(()) } else { Err(Message::new(3279, &[])) }
}

fn opens<K: Kind>(record: &Record<K>, field: Field<K, TextRef>, given: Option<&str>) -> bool {
    let wanted = record.referenced(field);
    wanted.is_empty() || given.is_some_and(|given| hash(given) == wanted)
}
