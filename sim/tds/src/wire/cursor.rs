//! A checked way through a message.

use super::Malformed;

/// Reads fields off the front of a message; every read names its field, for the error.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// Starts at the front of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// What has not been read yet.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether everything has been read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The next byte without taking it.
    #[must_use]
    pub fn peek(&self) -> Option<u8> {
        self.bytes.first().copied()
    }

    /// Takes `count` bytes.
    ///
    /// # Errors
    /// [`Malformed::Short`] when fewer are left, here and in every other read.
    pub fn take(&mut self, what: &'static str, count: usize) -> Result<&'a [u8], Malformed> {
        let (front, rest) = self.bytes.split_at_checked(count).ok_or(Malformed::Short {
            what,
            needed: count,
            left: self.bytes.len(),
        })?;
        self.bytes = rest;
        Ok(front)
    }

    /// Takes `N` bytes as an array.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Malformed> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(what, N)?);
        Ok(array)
    }

    /// Takes a byte.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn u8(&mut self, what: &'static str) -> Result<u8, Malformed> {
        Ok(u8::from_le_bytes(self.array(what)?))
    }

    /// Takes a little-endian u16.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn u16(&mut self, what: &'static str) -> Result<u16, Malformed> {
        Ok(u16::from_le_bytes(self.array(what)?))
    }

    /// Takes a big-endian u16.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn u16_be(&mut self, what: &'static str) -> Result<u16, Malformed> {
        Ok(u16::from_be_bytes(self.array(what)?))
    }

    /// Takes a little-endian u32.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn u32(&mut self, what: &'static str) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    /// Takes a little-endian u64.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn u64(&mut self, what: &'static str) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// Takes a text of `chars` UTF-16 units.
    ///
    /// # Errors
    /// [`Malformed::Short`], or [`Malformed::Utf16`] for an unpaired surrogate.
    pub fn utf16(&mut self, what: &'static str, chars: usize) -> Result<String, Malformed> {
        utf16(what, self.take(what, chars * 2)?)
    }

    /// Takes a B_VARCHAR: a byte with the number of UTF-16 units, then those.
    ///
    /// # Errors
    /// As [`Self::utf16`].
    pub fn b_varchar(&mut self, what: &'static str) -> Result<String, Malformed> {
        let chars = self.u8(what)?;
        self.utf16(what, usize::from(chars))
    }
}

/// Decodes UTF-16LE.
///
/// # Errors
/// [`Malformed::Utf16`] for an odd number of bytes or an unpaired surrogate.
pub fn utf16(what: &'static str, bytes: &[u8]) -> Result<String, Malformed> {
    let (pairs, odd) = bytes.as_chunks::<2>();
    if !odd.is_empty() {
        return Err(Malformed::Utf16 { what });
    }
    char::decode_utf16(pairs.iter().map(|&pair| u16::from_le_bytes(pair)))
        .collect::<Result<_, _>>()
        .map_err(|_| Malformed::Utf16 { what })
}
