//! Records: bytes with typed fields at fixed offsets.
//!
//! A backup stream is full of structures that are only partly known and that grew from release to
//! release. A [`Record`] therefore keeps the bytes as they are on the media, and the known part is
//! a table of [`Field`] constants: reading a record and writing it again loses nothing, and each
//! table reads like the page of the specification that it comes from.

use std::fmt;
use std::marker::PhantomData;

use uuid::Uuid;

use crate::date::MediaDate;
use crate::lsn::Lsn;

/// A value with one encoding of fixed size.
pub trait Value: Copy + Default {
    /// Size in bytes.
    const SIZE: usize;
    /// Reads the value from exactly [`Self::SIZE`] bytes.
    fn decode(bytes: &[u8]) -> Self;
    /// Writes the value to exactly [`Self::SIZE`] bytes.
    fn encode(self, bytes: &mut [u8]);
}

macro_rules! little_endian {
    ($($int:ty),*) => {$(
        impl Value for $int {
            const SIZE: usize = size_of::<$int>();
            fn decode(bytes: &[u8]) -> Self {
                let mut raw = [0; size_of::<$int>()];
                raw.copy_from_slice(bytes);
                <$int>::from_le_bytes(raw)
            }
            fn encode(self, bytes: &mut [u8]) {
                bytes.copy_from_slice(&self.to_le_bytes());
            }
        }
    )*};
}
little_endian!(u8, i8, u16, u32, u64);

macro_rules! byte_array {
    ($($len:literal),*) => {$(
        impl Value for [u8; $len] {
            const SIZE: usize = $len;
            fn decode(bytes: &[u8]) -> Self {
                let mut raw = [0; $len];
                raw.copy_from_slice(bytes);
                raw
            }
            fn encode(self, bytes: &mut [u8]) {
                bytes.copy_from_slice(&self);
            }
        }
    )*};
}
byte_array!(4, 5, 6, 12, 16);

/// A GUID in the byte order of Windows: first three parts little-endian.
impl Value for Uuid {
    const SIZE: usize = 16;
    fn decode(bytes: &[u8]) -> Self {
        Self::from_bytes_le(Value::decode(bytes))
    }
    fn encode(self, bytes: &mut [u8]) {
        bytes.copy_from_slice(&self.to_bytes_le());
    }
}

/// Reference to a string or to other bytes in the variable part of a record (spec: MTF 1.00a,
/// `MTF_TAPE_ADDRESS`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TextRef {
    /// Size in bytes; strings have no terminator.
    pub size: u16,
    /// Offset from the start of the record.
    pub offset: u16,
}

impl Value for TextRef {
    const SIZE: usize = 4;
    fn decode(bytes: &[u8]) -> Self {
        Self { size: u16::decode(&bytes[..2]), offset: u16::decode(&bytes[2..]) }
    }
    fn encode(self, bytes: &mut [u8]) {
        self.size.encode(&mut bytes[..2]);
        self.offset.encode(&mut bytes[2..]);
    }
}

impl Value for Lsn {
    const SIZE: usize = 10;
    fn decode(bytes: &[u8]) -> Self {
        Self {
            vlf: u32::decode(&bytes[..4]),
            block: u32::decode(&bytes[4..8]),
            slot: u16::decode(&bytes[8..]),
        }
    }
    fn encode(self, bytes: &mut [u8]) {
        self.vlf.encode(&mut bytes[..4]);
        self.block.encode(&mut bytes[4..8]);
        self.slot.encode(&mut bytes[8..]);
    }
}

impl Value for MediaDate {
    const SIZE: usize = 5;
    fn decode(bytes: &[u8]) -> Self {
        Self::from_bytes(Value::decode(bytes))
    }
    fn encode(self, bytes: &mut [u8]) {
        bytes.copy_from_slice(&self.to_bytes());
    }
}

/// Where a value of type `T` stands in a record of kind `K`.
pub struct Field<K, T> {
    offset: usize,
    owner: PhantomData<fn() -> (K, T)>,
}

impl<K, T> Clone for Field<K, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, T> Copy for Field<K, T> {}

impl<K, T> fmt::Debug for Field<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Field(@{:#x})", self.offset)
    }
}

impl<K, T: Value> Field<K, T> {
    pub(crate) const fn at(offset: usize) -> Self {
        Self { offset, owner: PhantomData }
    }

    /// Offset from the start of the record, in bytes.
    pub const fn offset(self) -> usize {
        self.offset
    }

    /// The value in `bytes`, which start where the record starts. Zero where they are too short:
    /// older releases have shorter records.
    pub fn read(self, bytes: &[u8]) -> T {
        bytes.get(self.offset..self.offset + T::SIZE).map_or_else(T::default, T::decode)
    }

    /// Stores `value` in `bytes`; left out where they are too short to have the field.
    pub fn write(self, bytes: &mut [u8], value: T) {
        if let Some(place) = bytes.get_mut(self.offset..self.offset + T::SIZE) {
            value.encode(place);
        }
    }
}

/// What distinguishes one kind of record from another.
pub trait Kind: Sized + 'static {
    /// Name in messages.
    const NAME: &'static str;
    /// Size in bytes of the part that every record of this kind has.
    const FIXED: usize;
    /// The references to the variable part.
    const TEXTS: &'static [Field<Self, TextRef>] = &[];
    /// Whether an empty string's reference holds the offset where it would stand, and not zero.
    const EMPTY_TEXT_HAS_OFFSET: bool = false;
}

/// The bytes of one structure of kind `K`, from its first byte on.
pub struct Record<K> {
    bytes: Vec<u8>,
    /// Where the variable part starts: fields beyond it are not there in this release's record.
    fixed: usize,
    kind: PhantomData<fn() -> K>,
}

impl<K> Clone for Record<K> {
    fn clone(&self) -> Self {
        Self { bytes: self.bytes.clone(), fixed: self.fixed, kind: PhantomData }
    }
}

impl<K> PartialEq for Record<K> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl<K> Eq for Record<K> {}

impl<K: Kind> fmt::Debug for Record<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Record({}, {} bytes)", K::NAME, self.bytes.len())
    }
}

/// Why bytes are no record of the kind asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// Shorter than the fixed part.
    Short,
    /// A string reference points outside the variable part.
    Reference,
}

impl Unfit {
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Short => "it is shorter than its fixed part",
            Self::Reference => "one of its string references points outside it",
        }
    }
}

/// A string does not fit the record: references are 16 bits wide (message 3244).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a string of {size} bytes does not fit the {kind} record, which ends at byte {end} of at most \
     65535; use a shorter name or description"
)]
pub struct TextTooLong {
    /// The record.
    pub kind: &'static str,
    /// Size of the string in bytes.
    pub size: usize,
    /// Where the record ends without it.
    pub end: usize,
}

impl<K: Kind> Record<K> {
    /// A record of `fixed` zero bytes and no strings.
    pub(crate) fn zeroed(fixed: usize) -> Self {
        debug_assert!(fixed >= K::FIXED);
        Self { bytes: vec![0; fixed], fixed, kind: PhantomData }
    }

    /// Takes bytes read from a stream.
    pub(crate) fn parse(bytes: Vec<u8>) -> Result<Self, Unfit> {
        if bytes.len() < K::FIXED {
            return Err(Unfit::Short);
        }
        let mut fixed = bytes.len();
        for text in K::TEXTS.iter().map(|field| field.read(&bytes)).filter(|text| text.size > 0) {
            let (start, end) =
                (text.offset.into(), usize::from(text.offset) + usize::from(text.size));
            if start < K::FIXED || end > bytes.len() {
                return Err(Unfit::Reference);
            }
            fixed = fixed.min(start);
        }
        Ok(Self { bytes, fixed, kind: PhantomData })
    }

    /// The record as it stands on the media.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The value of a field; zero when this release's record ends before it.
    pub fn get<T: Value>(&self, field: Field<K, T>) -> T {
        field.read(&self.bytes[..self.fixed])
    }

    /// Sets a field; without effect when this release's record ends before it.
    pub fn set<T: Value>(&mut self, field: Field<K, T>, value: T) -> &mut Self {
        field.write(&mut self.bytes[..self.fixed], value);
        self
    }

    /// The bytes that a reference points to.
    pub fn referenced(&self, field: Field<K, TextRef>) -> &[u8] {
        let TextRef { size, offset } = self.get(field);
        let (start, size) = (usize::from(offset), usize::from(size));
        self.bytes.get(start..start + size).unwrap_or_default()
    }

    /// The string that a reference points to, without its closing NULs; what is no UTF-16 comes
    /// out as U+FFFD.
    pub fn text(&self, field: Field<K, TextRef>) -> String {
        let units =
            self.referenced(field).as_chunks().0.iter().map(|unit| u16::from_le_bytes(*unit));
        let text: String = char::decode_utf16(units).map(|c| c.unwrap_or('\u{fffd}')).collect();
        text.trim_end_matches('\0').to_owned()
    }

    /// Appends a string and points `field` to it. Strings stand in the order in which they are
    /// appended.
    pub(crate) fn append_text(
        &mut self,
        field: Field<K, TextRef>,
        text: &str,
    ) -> Result<(), TextTooLong> {
        let encoded: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        self.append_bytes(field, &encoded)
    }

    /// Appends bytes and points `field` to them.
    pub(crate) fn append_bytes(
        &mut self,
        field: Field<K, TextRef>,
        bytes: &[u8],
    ) -> Result<(), TextTooLong> {
        let end = self.bytes.len();
        if end + bytes.len() > usize::from(u16::MAX) {
            return Err(TextTooLong { kind: K::NAME, size: bytes.len(), end });
        }
        let offset = if bytes.is_empty() && !K::EMPTY_TEXT_HAS_OFFSET { 0 } else { end as u16 };
        self.set(field, TextRef { size: bytes.len() as u16, offset });
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Sample;

    impl Sample {
        const NAME: Field<Self, TextRef> = Field::at(4);
        const LATER: Field<Self, u32> = Field::at(8);
    }

    impl Kind for Sample {
        const NAME: &'static str = "sample";
        const FIXED: usize = 8;
        const TEXTS: &'static [Field<Self, TextRef>] = &[Self::NAME];
    }

    /// Catches: a field of a later release being read out of an older record's strings.
    #[test]
    fn a_field_beyond_the_fixed_part_is_zero_and_is_not_written_over_the_strings() {
        let mut record = Record::<Sample>::zeroed(8);
        record.append_text(Sample::NAME, "abcd").unwrap();
        record.set(Sample::LATER, 7);
        assert_eq!(record.get(Sample::LATER), 0);
        assert_eq!(record.text(Sample::NAME), "abcd");

        let read = Record::<Sample>::parse(record.bytes().to_vec()).unwrap();
        assert_eq!(read.get(Sample::LATER), 0);
        assert_eq!(read.text(Sample::NAME), "abcd");
    }

    /// Catches: references that are not checked against both ends of the variable part.
    #[test]
    fn references_outside_the_variable_part_are_refused() {
        let mut record = Record::<Sample>::zeroed(12);
        for (size, offset, fit) in [(4, 8, true), (4, 9, false), (2, 7, false), (0, 9000, true)] {
            record.set(Sample::NAME, TextRef { size, offset });
            let parsed = Record::<Sample>::parse(record.bytes().to_vec());
            assert_eq!(parsed.is_ok(), fit, "{size} bytes at {offset}");
        }
        assert_eq!(Record::<Sample>::parse(vec![0; 7]).unwrap_err(), Unfit::Short);
    }

    #[test]
    fn a_string_that_would_end_beyond_64_kib_is_refused() {
        let mut record = Record::<Sample>::zeroed(8);
        let error = record.append_text(Sample::NAME, &"x".repeat(40_000)).unwrap_err();
        assert_eq!(error, TextTooLong { kind: "sample", size: 80_000, end: 8 });
    }
}
