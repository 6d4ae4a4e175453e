//! Values of settings that carry a unit or a form of their own: sizes, times, networks.
//!
//! Each knows how it is read and how it is written, so that messages, template and reference say
//! the same.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use guantong_core::admin::{Identity, OnDelete};
use ipnet::IpNet;
use toml::de::DeValue;

//----------- Setting --------------------------------------------------------

/// A type that a setting can have.
pub(super) trait Setting: Sized {
    /// What to write, for messages: `a size such as "256MiB"`.
    const FORM: &'static str;

    /// Reads the value; an error says what is wrong with it, or is empty if its form is wrong.
    fn read(value: &DeValue<'_>) -> Result<Self, String>;

    /// Writes the value as TOML.
    fn write(&self) -> String;
}

fn text<'a>(value: &'a DeValue<'_>) -> Result<&'a str, String> {
    value.as_str().ok_or_else(String::new)
}

fn parsed<T: FromStr>(value: &DeValue<'_>) -> Result<T, String>
where
    T::Err: fmt::Display,
{
    let text = text(value)?;
    text.parse()
        .map_err(|error: T::Err| format!("`{text}` is not valid ({error})"))
}

fn quoted(text: impl fmt::Display) -> String {
    toml::Value::String(text.to_string()).to_string()
}

impl Setting for String {
    const FORM: &'static str = "a text in quotes";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        text(value).map(str::to_owned)
    }

    fn write(&self) -> String {
        quoted(self)
    }
}

impl Setting for bool {
    const FORM: &'static str = "true or false";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        value.as_bool().ok_or_else(String::new)
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

macro_rules! whole_number {
    ($($ty:ty),*) => {$(
        impl Setting for $ty {
            const FORM: &'static str = "a whole number";

            fn read(value: &DeValue<'_>) -> Result<Self, String> {
                let number = value.as_integer().ok_or_else(String::new)?;
                let found = i64::from_str_radix(number.as_str(), number.radix());
                let found = found.map_err(|_| format!("`{}` is too large", number.as_str()))?;
                found.try_into().map_err(|_| format!("{found} is out of range"))
            }

            fn write(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

whole_number!(u16, u32);

impl Setting for PathBuf {
    const FORM: &'static str = "a path in quotes; a relative one starts at the folder of this file";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        match text(value)? {
            "" => Err("is empty".to_owned()),
            path => Ok(path.into()),
        }
    }

    fn write(&self) -> String {
        quoted(self.display())
    }
}

/// An empty text stands for none.
impl Setting for Option<PathBuf> {
    const FORM: &'static str = "a path in quotes, or \"\" for none";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        Ok(Some(text(value)?)
            .filter(|path| !path.is_empty())
            .map(PathBuf::from))
    }

    fn write(&self) -> String {
        quoted(self.as_deref().unwrap_or("".as_ref()).display())
    }
}

impl Setting for IpAddr {
    const FORM: &'static str = "an address such as \"192.0.2.1\" or \"2001:db8::1\"";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        parsed(value)
    }

    fn write(&self) -> String {
        quoted(self)
    }
}

impl Setting for SocketAddr {
    const FORM: &'static str = "an address with a port such as \"192.0.2.1:2641\" or \"[::]:2641\"";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        parsed(value)
    }

    fn write(&self) -> String {
        quoted(self)
    }
}

/// An empty text stands for none.
impl Setting for Option<SocketAddr> {
    const FORM: &'static str =
        "an address with a port such as \"127.0.0.1:8080\", or \"\" for none";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        match text(value)? {
            "" => Ok(None),
            _ => parsed(value).map(Some),
        }
    }

    fn write(&self) -> String {
        self.map_or_else(|| quoted(""), quoted)
    }
}

impl Setting for IpNet {
    const FORM: &'static str = "a network such as \"10.0.0.0/8\"";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        parsed(value)
    }

    fn write(&self) -> String {
        quoted(self)
    }
}

impl Setting for Identity {
    const FORM: &'static str = "an identity such as \"300:0.NA/88.118\"";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        parsed(value)
    }

    fn write(&self) -> String {
        quoted(self)
    }
}

/// An empty text stands for none.
impl Setting for Option<Identity> {
    const FORM: &'static str = "an identity such as \"300:0.NA/88.118\", or \"\" for none";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        match text(value)? {
            "" => Ok(None),
            _ => parsed(value).map(Some),
        }
    }

    fn write(&self) -> String {
        self.as_ref().map_or_else(|| quoted(""), quoted)
    }
}

macro_rules! list {
    ($($ty:ty: $form:literal),* $(,)?) => {$(
        impl Setting for Vec<$ty> {
            const FORM: &'static str = $form;

            fn read(value: &DeValue<'_>) -> Result<Self, String> {
                let items = value.as_array().ok_or_else(String::new)?;
                items.iter().map(|item| <$ty>::read(item.get_ref())).collect()
            }

            fn write(&self) -> String {
                let items: Vec<_> = self.iter().map(<$ty>::write).collect();
                format!("[{}]", items.join(", "))
            }
        }
    )*};
}

list! {
    String: "a list of texts such as [\"EMAIL\"]",
    SocketAddr: "a list of addresses with ports such as [\"0.0.0.0:2641\", \"[::]:2641\"]",
    IpNet: "a list of networks such as [\"10.0.0.0/8\"]",
    Identity: "a list of identities, index and handle, such as [\"300:0.NA/88.118\"]",
}

//----------- Size -----------------------------------------------------------

/// A number of octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

const SIZE_UNITS: [(&str, u64); 5] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

impl Size {
    /// A number of KiB.
    pub const fn kib(n: u64) -> Self {
        Self(n << 10)
    }

    /// A number of MiB.
    pub const fn mib(n: u64) -> Self {
        Self(n << 20)
    }

    /// The size as a length in memory.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_with_unit(f, self.0, &SIZE_UNITS)
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        read_with_unit(text, &SIZE_UNITS).map(Self)
    }
}

impl Setting for Size {
    const FORM: &'static str = "a size with its unit B, KiB, MiB, GiB or TiB, such as \"256MiB\"";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        parsed(value)
    }

    fn write(&self) -> String {
        quoted(self)
    }
}

//----------- Span -----------------------------------------------------------

/// A length of time, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub u64);

const SPAN_UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

impl Span {
    /// A number of seconds.
    pub const fn secs(n: u64) -> Self {
        Self(n * 1_000)
    }

    /// The span as the standard library has it.
    pub const fn as_duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_with_unit(f, self.0, &SPAN_UNITS)
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        read_with_unit(text, &SPAN_UNITS).map(Self)
    }
}

impl Setting for Span {
    const FORM: &'static str = "a time with its unit ms, s, m, h or d, such as \"30s\"";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        parsed(value)
    }

    fn write(&self) -> String {
        quoted(self)
    }
}

/// A number with a unit, in the smallest unit. Units are in falling order.
fn read_with_unit(text: &str, units: &[(&str, u64)]) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number
        .parse()
        .map_err(|_| "it must begin with a whole number")?;
    let unit = unit.trim();
    let (_, factor) = units
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit))
        .ok_or_else(|| match unit {
            "" => "the unit is missing".to_owned(),
            _ => format!("the unit `{unit}` is not known"),
        })?;
    number
        .checked_mul(*factor)
        .ok_or_else(|| "it is too large".to_owned())
}

fn write_with_unit(f: &mut fmt::Formatter<'_>, n: u64, units: &[(&str, u64)]) -> fmt::Result {
    let fits = |(_, factor): &&(&str, u64)| n.is_multiple_of(*factor) && n >= *factor;
    let (name, factor) = units
        .iter()
        .find(fits)
        .or(units.last())
        .copied()
        .unwrap_or(("", 1));
    write!(f, "{}{name}", n / factor)
}

//----------- Level, LogFormat -----------------------------------------------

macro_rules! choice {
    ($(#[$doc:meta])* $name:ident, $form:literal {
        $($(#[$item_doc:meta])* $item:ident = $text:literal),* $(,)?
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[$item_doc])* $item),* }

        impl $name {
            /// The word in the configuration.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$item => $text),* }
            }
        }

        impl Setting for $name {
            const FORM: &'static str = $form;

            fn read(value: &DeValue<'_>) -> Result<Self, String> {
                match text(value)? {
                    $($text => Ok(Self::$item),)*
                    other => Err(format!("`{other}` is none of the choices")),
                }
            }

            fn write(&self) -> String {
                quoted(self.as_str())
            }
        }
    };
}

choice! {
    /// When a change is reported as done.
    Acknowledge, "one of \"local\", \"mirror\"" {
        /// When it is on the disk of this node.
        Local = "local",
        /// When it is on the disk of a mirror too.
        Mirror = "mirror",
    }
}

choice! {
    /// Whether records of others are judged by their signatures before they are given away.
    Verify, "one of \"off\", \"if-signed\", \"required\"" {
        /// Not at all.
        Off = "off",
        /// A record that is signed must be signed rightly.
        IfSigned = "if-signed",
        /// Every record must be signed, and rightly.
        Required = "required",
    }
}

choice! {
    /// What is looked at of a record of another node that a registration refers to.
    References, "one of \"check\", \"form\"" {
        /// Whether it is there and of the template that it must be of.
        Check = "check",
        /// Whether it has the form of a handle.
        Form = "form",
    }
}

impl Setting for OnDelete {
    const FORM: &'static str = "one of \"remove\", \"withdraw\"";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        match text(value)? {
            "remove" => Ok(Self::Remove),
            "withdraw" => Ok(Self::Withdraw),
            other => Err(format!("`{other}` is none of the choices")),
        }
    }

    fn write(&self) -> String {
        quoted(match self {
            Self::Remove => "remove",
            Self::Withdraw => "withdraw",
        })
    }
}

choice! {
    /// How much is logged.
    Level, "one of \"error\", \"warn\", \"info\", \"debug\", \"trace\"" {
        /// Somebody must act.
        Error = "error",
        /// Degraded, but the node coped.
        Warn = "warn",
        /// Life cycle and changes.
        Info = "info",
        /// Every request.
        Debug = "debug",
        /// Every message.
        Trace = "trace",
    }
}

choice! {
    /// How log lines are written.
    LogFormat, "\"text\" or \"json\"" {
        /// For people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_written_as_they_are_read() {
        for text in ["1B", "512B", "3KiB", "256MiB", "1GiB", "2TiB"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
        for text in ["250ms", "30s", "5m", "2h", "1d"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        assert_eq!("64 mib".parse::<Size>(), Ok(Size::mib(64)));
        assert_eq!(Size(0).to_string(), "0B");
    }

    #[test]
    fn unit_is_required_and_must_be_known() {
        assert_eq!("64".parse::<Size>().unwrap_err(), "the unit is missing");
        assert_eq!(
            "64MB".parse::<Size>().unwrap_err(),
            "the unit `MB` is not known"
        );
        assert_eq!(
            "99999999TiB".parse::<Size>().unwrap_err(),
            "it is too large"
        );
        assert!("-1s".parse::<Span>().is_err());
    }
}
