//! The only place that handles offsets and lengths.
//!
//! A [`Reader`] owns every offset: it never reads past the octets that it was given, and it refuses
//! a length or count before anything is allocated for it. A [`Writer`] appends to a buffer that the
//! caller owns, so that a hot path can reuse one.
//!
//! Encoding primitives (all big-endian): u8, i16, i32, i64; *bytes* is an i32 length followed by
//! that many octets; an *array* is an i32 count followed by its elements.

use crate::error::{DecodeError, Reason};
use crate::limits::ARRAY_LEN_MAX;

//----------- Reader ---------------------------------------------------------

/// A bounded cursor over octets that came from elsewhere.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    octets: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the start of `octets`.
    pub fn new(octets: &'a [u8]) -> Self {
        Self { octets, at: 0 }
    }

    /// Offset of the next octet.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Number of octets that are left.
    pub fn left(&self) -> usize {
        self.octets.len() - self.at
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.left() == 0
    }

    /// The octets that are left; the reader moves to the end.
    pub fn rest(&mut self) -> &'a [u8] {
        let rest = &self.octets[self.at..];
        self.at = self.octets.len();
        rest
    }

    /// The octets from offset `start` up to the current position.
    ///
    /// Lets a decoder keep the wire form of what it has just walked over.
    pub fn since(&self, start: usize) -> &'a [u8] {
        &self.octets[start.min(self.at)..self.at]
    }

    /// The next `len` octets.
    pub fn take(&mut self, field: &'static str, len: usize) -> Result<&'a [u8], DecodeError> {
        if len > self.left() {
            let reason = Reason::Truncated {
                needs: len,
                left: self.left(),
            };
            return Err(DecodeError::new(field, self.at, reason));
        }
        let taken = &self.octets[self.at..self.at + len];
        self.at += len;
        Ok(taken)
    }

    /// The next `N` octets, where they lie.
    #[inline]
    pub fn chunk<const N: usize>(
        &mut self,
        field: &'static str,
    ) -> Result<&'a [u8; N], DecodeError> {
        match self.octets[self.at..].first_chunk() {
            Some(chunk) => {
                self.at += N;
                Ok(chunk)
            }
            None => Err(DecodeError::new(
                field,
                self.at,
                Reason::Truncated {
                    needs: N,
                    left: self.left(),
                },
            )),
        }
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        self.chunk(field).copied()
    }

    /// One octet.
    pub fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        Ok(self.array::<1>(field)?[0])
    }

    /// Two octets, signed.
    pub fn i16(&mut self, field: &'static str) -> Result<i16, DecodeError> {
        Ok(i16::from_be_bytes(self.array(field)?))
    }

    /// Two octets, unsigned.
    pub fn u16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        Ok(u16::from_be_bytes(self.array(field)?))
    }

    /// Four octets, signed.
    pub fn i32(&mut self, field: &'static str) -> Result<i32, DecodeError> {
        Ok(i32::from_be_bytes(self.array(field)?))
    }

    /// Four octets, unsigned.
    pub fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        Ok(u32::from_be_bytes(self.array(field)?))
    }

    /// Eight octets, signed.
    pub fn i64(&mut self, field: &'static str) -> Result<i64, DecodeError> {
        Ok(i64::from_be_bytes(self.array(field)?))
    }

    /// A *bytes* field: i32 length and that many octets.
    pub fn bytes(&mut self, field: &'static str) -> Result<&'a [u8], DecodeError> {
        self.bytes_max(field, usize::MAX)
    }

    /// A *bytes* field of at most `limit` octets.
    pub fn bytes_max(
        &mut self,
        field: &'static str,
        limit: usize,
    ) -> Result<&'a [u8], DecodeError> {
        let start = self.at;
        let len = self.size(field, limit)?;
        self.take(field, len).map_err(|mut error| {
            error.at = start;
            error
        })
    }

    /// A *bytes* field that must be UTF-8.
    pub fn text(&mut self, field: &'static str) -> Result<&'a str, DecodeError> {
        let start = self.at;
        std::str::from_utf8(self.bytes(field)?)
            .map_err(|_| DecodeError::new(field, start, Reason::NotUtf8))
    }

    /// A count of elements of at least `element_len_min` octets each.
    ///
    /// Refused when negative, when above `limit` or the protocol's own limit for arrays, and when
    /// the octets that are left could not hold that many, so that a vector may be reserved for it.
    pub fn count(
        &mut self,
        field: &'static str,
        element_len_min: usize,
        limit: usize,
    ) -> Result<usize, DecodeError> {
        let start = self.at;
        let count = self.size(field, limit.min(ARRAY_LEN_MAX))?;
        let needs = count.saturating_mul(element_len_min);
        if needs > self.left() {
            let reason = Reason::Truncated {
                needs,
                left: self.left(),
            };
            return Err(DecodeError::new(field, start, reason));
        }
        Ok(count)
    }

    /// An array of i32.
    pub fn i32_array(&mut self, field: &'static str) -> Result<Vec<i32>, DecodeError> {
        let count = self.count(field, 4, ARRAY_LEN_MAX)?;
        (0..count).map(|_| self.i32(field)).collect()
    }

    /// An array of *bytes*.
    pub fn bytes_array(&mut self, field: &'static str) -> Result<Vec<&'a [u8]>, DecodeError> {
        let count = self.count(field, 4, ARRAY_LEN_MAX)?;
        (0..count).map(|_| self.bytes(field)).collect()
    }

    /// Fails if octets are left.
    pub fn finish(self, field: &'static str) -> Result<(), DecodeError> {
        match self.left() {
            0 => Ok(()),
            left => Err(DecodeError::new(
                field,
                self.at,
                Reason::TrailingOctets(left),
            )),
        }
    }

    fn size(&mut self, field: &'static str, limit: usize) -> Result<usize, DecodeError> {
        let start = self.at;
        let announced = self.i32(field)?;
        let size = usize::try_from(announced)
            .map_err(|_| DecodeError::new(field, start, Reason::Negative(announced)))?;
        if size > limit {
            let reason = Reason::TooLarge { found: size, limit };
            return Err(DecodeError::new(field, start, reason));
        }
        Ok(size)
    }
}

//----------- Writer ---------------------------------------------------------

/// Appends primitives to a buffer.
#[derive(Debug)]
pub struct Writer<'a> {
    buf: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    /// A writer that appends to `buf`.
    pub fn new(buf: &'a mut Vec<u8>) -> Self {
        Self { buf }
    }

    /// Runs `encode` on a fresh buffer and returns it.
    pub fn to_vec(encode: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
        let mut buf = Vec::new();
        encode(&mut Writer::new(&mut buf));
        buf
    }

    /// Length of the buffer, everything in front of this writer's octets included.
    pub fn position(&self) -> usize {
        self.buf.len()
    }

    /// Octets as they are.
    pub fn raw(&mut self, octets: &[u8]) {
        self.buf.extend_from_slice(octets);
    }

    /// One octet.
    pub fn u8(&mut self, n: u8) {
        self.buf.push(n);
    }

    /// Two octets, signed.
    pub fn i16(&mut self, n: i16) {
        self.raw(&n.to_be_bytes());
    }

    /// Two octets, unsigned.
    pub fn u16(&mut self, n: u16) {
        self.raw(&n.to_be_bytes());
    }

    /// Four octets, signed.
    pub fn i32(&mut self, n: i32) {
        self.raw(&n.to_be_bytes());
    }

    /// Four octets, unsigned.
    pub fn u32(&mut self, n: u32) {
        self.raw(&n.to_be_bytes());
    }

    /// Eight octets, signed.
    pub fn i64(&mut self, n: i64) {
        self.raw(&n.to_be_bytes());
    }

    /// A length or count.
    ///
    /// Saturates above 2³¹−1; what we write is bounded far below by [`crate::limits`].
    pub fn size(&mut self, n: usize) {
        self.i32(i32::try_from(n).unwrap_or(i32::MAX));
    }

    /// A *bytes* field.
    pub fn bytes(&mut self, octets: &[u8]) {
        self.size(octets.len());
        self.raw(octets);
    }

    /// An array of i32.
    pub fn i32_array(&mut self, elements: &[i32]) {
        self.size(elements.len());
        for &element in elements {
            self.i32(element);
        }
    }

    /// An array of *bytes*.
    pub fn bytes_array<T: AsRef<[u8]>>(&mut self, elements: &[T]) {
        self.size(elements.len());
        for element in elements {
            self.bytes(element.as_ref());
        }
    }

    /// Writes what `encode` writes, preceded by its length as an i32.
    pub fn sized(&mut self, encode: impl FnOnce(&mut Writer<'_>)) {
        let start = self.buf.len();
        self.i32(0);
        encode(self);
        let len = i32::try_from(self.buf.len() - start - 4).unwrap_or(i32::MAX);
        self.buf[start..start + 4].copy_from_slice(&len.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negative_length_is_refused() {
        let error = Reader::new(&[0xff; 8]).bytes("data").unwrap_err();
        assert_eq!(error.to_string(), "data at octet 0: is negative (-1)");
    }

    #[test]
    fn count_that_cannot_fit_is_refused_before_allocation() {
        let error = Reader::new(&[0, 0x0f, 0xff, 0xff, 1, 2])
            .i32_array("indexes")
            .unwrap_err();
        assert!(matches!(
            error.reason,
            Reason::Truncated {
                needs: 4_194_300,
                left: 2
            }
        ));
    }

    #[test]
    fn count_above_the_array_limit_is_refused() {
        let error = Reader::new(&[0x7f, 0xff, 0xff, 0xff]).count("list", 0, usize::MAX);
        assert!(matches!(error.unwrap_err().reason, Reason::TooLarge { .. }));
    }

    #[test]
    fn sized_section_carries_its_length() {
        let bytes = Writer::to_vec(|w| w.sized(|w| w.bytes(b"ab")));
        assert_eq!(bytes, [0, 0, 0, 6, 0, 0, 0, 2, b'a', b'b']);
    }
}
