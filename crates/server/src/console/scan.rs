//! Codes in pictures, for browsers that read none by themselves: the page draws what the camera
//! sees in shades of grey and sends them, the node finds the QR code or Data Matrix in them.
//!
//! Grey octets need no decoder of picture formats here. Frames are kept nowhere, and what is read
//! is only told to whoever sent it. Reading takes a core for some milliseconds, so there is one
//! reader for all, with a short queue before it and a rate for each address.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use rxing::common::HybridBinarizer;
use rxing::datamatrix::DataMatrixReader;
use rxing::qrcode::cpp_port::QrReader;
use rxing::{BinaryBitmap, DecodeHints, Luma8LuminanceSource, Reader};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::visit::Visit;
use crate::limit::{Meter, host_of};

/// Longest side of a frame. Codes on labels are read at half of it; more only takes longer.
const SIDE_MAX: u32 = 1024;
/// Shortest side of a frame: the smallest Data Matrix has ten modules.
const SIDE_MIN: u32 = 10;
/// Octets of a frame, one for each pixel.
pub(super) const FRAME_LEN_MAX: usize = (SIDE_MAX * SIDE_MAX) as usize;
/// Frames of one address in a second. A page sends the next one when it has the answer to the last.
const FRAMES_PER_SECOND_MAX: u64 = 10;
/// Frames that are read or wait at a time; each keeps [`FRAME_LEN_MAX`] octets at most.
const PLACES_MAX: usize = 8;
/// Frames that are read at a time: pictures of others never take more than one core.
const READERS: usize = 1;
/// Longest wait for an answer. A reader that takes longer is not waited for, and no other begins
/// before it has ended.
const READING: Duration = Duration::from_secs(5);
/// Longest text that is given back: that of the largest code (ISO/IEC 18004, version 40-L).
const TEXT_LEN_MAX: usize = 7_089;

//----------- Scanner --------------------------------------------------------

/// The reader of a node, and who may use it now.
#[derive(Debug)]
pub(crate) struct Scanner {
    frames: Meter,
    places: Semaphore,
    readers: Arc<Semaphore>,
}

impl Scanner {
    pub(crate) fn new() -> Self {
        Self {
            frames: Meter::new(),
            places: Semaphore::new(PLACES_MAX),
            readers: Arc::new(Semaphore::new(READERS)),
        }
    }

    /// The text of a code in the frame; none if there is no code that can be read.
    async fn read(&self, frame: Frame) -> Result<Option<String>, Refusal> {
        let _place = self.places.try_acquire().map_err(|_| Refusal::Busy)?;
        let reading = async {
            let reader = self.readers.clone().acquire_owned().await;
            let reader = reader.map_err(|_| Refusal::Busy)?;
            let read = spawn_blocking(move || {
                let text = frame.text();
                drop(reader);
                text
            });
            read.await.map_err(|_| Refusal::Busy)
        };
        timeout(READING, reading)
            .await
            .unwrap_or(Err(Refusal::Busy))
    }
}

/// Why a frame is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Size,
    TooMany,
    Busy,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, text) = match self {
            Self::Size => (
                StatusCode::BAD_REQUEST,
                "a frame is width times height octets, with sides of 10 to 1024\n",
            ),
            Self::TooMany => (
                StatusCode::TOO_MANY_REQUESTS,
                "more frames in a second than are read for one address\n",
            ),
            Self::Busy => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the frames of others are being read; try again in a second\n",
            ),
        };
        match self {
            Self::Size => (status, text).into_response(),
            Self::TooMany | Self::Busy => (status, [(RETRY_AFTER, "1")], text).into_response(),
        }
    }
}

/// Reads the frame in the body: 200 and the text, or 204 if there is nothing to read.
pub(super) async fn read(visit: &Visit<'_>) -> Response {
    let node = visit.node;
    let source = host_of(visit.peer.ip());
    let scanner = &node.scanner;
    if !(scanner.frames).spend(source, 1, FRAMES_PER_SECOND_MAX, node.uptime_ms()) {
        return Refusal::TooMany.into_response();
    }
    let side = |name| visit.asked(name)?.parse().ok();
    let (width, height) = (side("width"), side("height"));
    let frame = Frame::new(visit.body.to_vec(), width.unwrap_or(0), height.unwrap_or(0));
    let Some(frame) = frame else {
        return Refusal::Size.into_response();
    };
    match scanner.read(frame).await {
        Ok(Some(text)) => ([(CONTENT_TYPE, "text/plain;charset=UTF-8")], text).into_response(),
        Ok(None) => StatusCode::NO_CONTENT.into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

//----------- Frame ----------------------------------------------------------

/// A picture in shades of grey, row by row, 0 is black.
#[derive(Debug)]
struct Frame {
    luma: Vec<u8>,
    width: u32,
    height: u32,
}

impl Frame {
    /// None if the sides are beyond the limits, or not those of so many octets.
    fn new(luma: Vec<u8>, width: u32, height: u32) -> Option<Self> {
        let sides = SIDE_MIN..=SIDE_MAX;
        let is_right = sides.contains(&width)
            && sides.contains(&height)
            && luma.len() == (width * height) as usize;
        is_right.then_some(Self {
            luma,
            width,
            height,
        })
    }

    /// The text of a QR code or a Data Matrix in it.
    fn text(self) -> Option<String> {
        // The octets are those of a stranger. Where the reader fails over them, there is nothing to
        // read; it keeps nothing from one frame to the next.
        let read = catch_unwind(AssertUnwindSafe(|| self.read()));
        let text = octets_meant(read.ok().flatten()?);
        let text = text.trim();
        (!text.is_empty() && text.len() <= TEXT_LEN_MAX).then(|| text.to_owned())
    }

    fn read(self) -> Option<String> {
        let source = Luma8LuminanceSource::new(self.luma, self.width, self.height).ok()?;
        let mut picture = BinaryBitmap::new(HybridBinarizer::new(source));
        let hints = DecodeHints {
            TryHarder: Some(true),
            ..DecodeHints::default()
        };
        // The one after ZXing-C++: `QRCodeReader` takes parts of some codes for their corners, and
        // misses one in twenty labels on a screen.
        let found = QrReader.decode_with_hints(&mut picture, &hints);
        let found = found.or_else(|_| DataMatrixReader.decode_with_hints(&mut picture, &hints));
        Some(found.ok()?.getText().to_owned())
    }
}

/// The text, where the reader has taken octets of UTF-8 for Latin-1 each: that is what the
/// standards say of octets, and not what printers of labels do, ours among them.
fn octets_meant(text: String) -> String {
    let octets: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(c).ok()).collect();
    match octets.map(String::from_utf8) {
        Some(Ok(meant)) => meant,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use datamatrix::{DataMatrix, SymbolList};
    use proptest::prelude::*;
    use qrcodegen::{QrCode, QrCodeEcc};

    use super::*;

    /// Pixels of a module, as a camera sees a label from nearby.
    const MODULE: u32 = 5;
    /// Modules around a code.
    const MARGIN: u32 = 4;

    /// A frame with a code of so many modules, of which these are dark.
    fn frame(width: u32, height: u32, is_dark: impl Fn(u32, u32) -> bool) -> Frame {
        let (across, down) = (
            (width + 2 * MARGIN) * MODULE,
            (height + 2 * MARGIN) * MODULE,
        );
        let inner = |at: u32, count| {
            (at / MODULE)
                .checked_sub(MARGIN)
                .filter(|module| *module < count)
        };
        let luma = (0..across * down).map(|n| {
            let dark = match (inner(n % across, width), inner(n / across, height)) {
                (Some(x), Some(y)) => is_dark(x, y),
                _ => false,
            };
            if dark { 40 } else { 210 }
        });
        Frame::new(luma.collect(), across, down).unwrap()
    }

    fn qr(text: &str) -> Frame {
        let code = QrCode::encode_text(text, QrCodeEcc::Medium).unwrap();
        let size = u32::try_from(code.size()).unwrap();
        frame(size, size, |x, y| {
            code.get_module(x.cast_signed(), y.cast_signed())
        })
    }

    fn matrix(text: &str) -> Frame {
        let list = SymbolList::default().enforce_square();
        let code = DataMatrix::encode(text.as_bytes(), list).unwrap();
        let bitmap = code.bitmap();
        let size = u32::try_from(bitmap.width()).unwrap();
        let dark: Vec<(usize, usize)> = bitmap.pixels().collect();
        frame(size, size, |x, y| dark.contains(&(x as usize, y as usize)))
    }

    /// The same a quarter turned, as a label in the hand.
    fn turned(frame: &Frame) -> Frame {
        let (width, height) = (frame.width as usize, frame.height as usize);
        let luma = (0..frame.luma.len()).map(|n| {
            let (x, y) = (n % height, n / height);
            frame.luma[(height - 1 - x) * width + y]
        });
        Frame::new(luma.collect(), frame.height, frame.width).unwrap()
    }

    #[test]
    fn the_codes_of_our_labels_are_read() {
        for text in [
            "88.118.5/SN20260001",
            "https://id.example.org:8000/88.118.5/SN20260001",
            "88.118.5/厂家-甲",
        ] {
            assert_eq!(turned(&qr(text)).text().as_deref(), Some(text));
            assert_eq!(turned(&matrix(text)).text().as_deref(), Some(text));
            assert_eq!(qr(text).text().as_deref(), Some(text));
            assert_eq!(matrix(text).text().as_deref(), Some(text));
        }
    }

    /// A label as a screen or a camera sees it: `side` pixels across the code and its margin, the
    /// edges of the modules between the pixels, and slanted by so much of its height.
    fn seen(text: &str, side: u32, slant: f64) -> Frame {
        const SAMPLES: u32 = 3;
        let code = QrCode::encode_text(text, QrCodeEcc::Medium).unwrap();
        let margin = MARGIN.cast_signed();
        let modules = f64::from(code.size() + 2 * margin) / f64::from(side);
        let is_dark = |x: f64, y: f64| {
            let [x, y] = [x + y * slant, y - x * slant].map(|at| (at * modules).floor() as i32);
            code.get_module(x - margin, y - margin)
        };
        let fine = |n: u32| (f64::from(n) + 0.5) / f64::from(SAMPLES);
        let luma = (0..side * side).map(|n| {
            let (x, y) = (n % side * SAMPLES, n / side * SAMPLES);
            let dark = (0..SAMPLES * SAMPLES)
                .filter(|at| is_dark(fine(x + at % SAMPLES), fine(y + at / SAMPLES)));
            255 - u8::try_from(dark.count() * 255 / (SAMPLES * SAMPLES) as usize).unwrap()
        });
        Frame::new(luma.collect(), side, side).unwrap()
    }

    #[test]
    fn a_label_is_read_at_any_size_and_whatever_it_says() {
        // Some of these have parts that look like the corners of a code.
        for port in [
            30186, 30527, 30899, 31488, 32294, 32542, 32635, 32697, 32790,
        ] {
            let text = format!("http://127.0.0.1:{port}/88.118.5/plain");
            for side in [100, 128, 160, 200, 256] {
                for slant in [0.0, 0.04] {
                    let read = seen(&text, side, slant).text();
                    assert_eq!(read.as_deref(), Some(&*text), "{side} pixels, {slant}");
                }
            }
        }
    }

    #[test]
    fn a_frame_without_a_code_has_no_text() {
        for shade in [0, 128, 255] {
            let frame = Frame::new(vec![shade; 640 * 480], 640, 480).unwrap();
            assert_eq!(frame.text(), None);
        }
    }

    #[test]
    fn frames_beyond_the_limits_are_none() {
        for (len, width, height) in [
            (100, 10, 9),
            (90, 10, 9),
            (99, 10, 10),
            (10 * 1025, 1025, 10),
            (0, 0, 0),
            (0, u32::MAX, u32::MAX),
        ] {
            assert!(Frame::new(vec![0; len], width, height).is_none(), "{width}");
        }
        assert!(Frame::new(vec![0; 100], 10, 10).is_some());
        assert!(Frame::new(vec![0; FRAME_LEN_MAX], SIDE_MAX, SIDE_MAX).is_some());
    }

    #[test]
    fn octets_that_are_utf_8_are_read_as_such() {
        assert_eq!(octets_meant("ä¸\u{ad}".to_owned()), "中");
        assert_eq!(octets_meant("Söhne".to_owned()), "Söhne");
        assert_eq!(octets_meant("中文".to_owned()), "中文");
    }

    #[tokio::test]
    async fn one_frame_is_read_at_a_time_and_few_wait() {
        let scanner = Scanner::new();
        let held = scanner.places.try_acquire_many(8).unwrap();
        assert_eq!(scanner.read(qr("1/x")).await, Err(Refusal::Busy));
        drop(held);
        assert_eq!(scanner.read(qr("1/x")).await, Ok(Some("1/x".to_owned())));
        assert_eq!(scanner.readers.available_permits(), READERS);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_the_reader_too_long_is_told_to_come_again() {
        let scanner = Scanner::new();
        let _reading = scanner.readers.clone().try_acquire_owned().unwrap();
        assert_eq!(scanner.read(qr("1/x")).await, Err(Refusal::Busy));
        assert_eq!(scanner.places.available_permits(), PLACES_MAX);
    }

    /// Codes with some of their pixels changed lead deeper into the reader than noise does.
    fn spoilt() -> impl Strategy<Value = Frame> {
        let code = prop_oneof![
            "[ -~]{1,60}".prop_map(|text| qr(&text)),
            "[ -~]{1,60}".prop_map(|text| matrix(&text)),
        ];
        let spots = prop::collection::vec(
            (any::<prop::sample::Index>(), any::<u8>(), 1..60_usize),
            0..80,
        );
        (code, spots).prop_map(|(mut frame, spots)| {
            for (at, shade, len) in spots {
                let at = at.index(frame.luma.len());
                let end = (at + len).min(frame.luma.len());
                frame.luma[at..end].fill(shade);
            }
            frame
        })
    }

    /// Blocks of a few shades, of any size.
    fn noise() -> impl Strategy<Value = Frame> {
        (SIDE_MIN..200, SIDE_MIN..200, 1..12_u32, any::<u64>()).prop_map(
            |(width, height, block, seed)| {
                let luma = (0..width * height).map(|n| {
                    let (x, y) = (n % width / block, n / width / block);
                    let mixed = (seed ^ u64::from(x) << 32 ^ u64::from(y))
                        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
                    if mixed >> 63 == 0 { 20 } else { 230 }
                });
                Frame::new(luma.collect(), width, height).unwrap()
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_frame_makes_the_reader_fail(frame in prop_oneof![spoilt(), noise()]) {
            // The reader itself, without the net below it.
            let _ = frame.read();
        }
    }
}
