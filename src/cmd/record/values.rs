//! Values from the command line, from a file or from standard input.

use std::io::Read;
use std::path::PathBuf;

use guantong_proto::json::{Record, parse_values};
use guantong_proto::{Handle, Permissions, Ttl, Value};

use crate::failed::{Exit, Failed, Report};

/// Largest file read: far more than a record can have.
const FILE_LEN_MAX: u64 = 16 * 1024 * 1024;

//----------- DataArgs -------------------------------------------------------

/// Where values come from.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct DataArgs {
    /// A value: index, type and data with spaces between. May be repeated
    #[arg(
        long = "value",
        value_name = "INDEX TYPE DATA",
        required_unless_present = "file",
        conflicts_with = "file"
    )]
    values: Vec<String>,

    /// Seconds that caches may keep the values of --value
    #[arg(long, value_name = "SECONDS", conflicts_with = "file")]
    ttl: Option<i32>,

    /// Who may do what with the values of --value: administrators read, administrators write,
    /// anyone reads, anyone writes
    #[arg(long, value_name = "1110", value_parser = parse_permissions, conflicts_with = "file")]
    permissions: Option<Permissions>,

    /// A file with the record or its values in the Handle JSON form; - for standard input
    #[arg(long, value_name = "FILE.json")]
    file: Option<PathBuf>,
}

fn parse_permissions(text: &str) -> Result<Permissions, String> {
    let is_form = text.len() == 4 && text.bytes().all(|c| matches!(c, b'0' | b'1'));
    let bits = u8::from_str_radix(text, 2).ok().filter(|_| is_form);
    let expected = "four characters 0 or 1, such as 1110 or, for administrators only, 1100";
    bits.map(Permissions).ok_or_else(|| expected.to_owned())
}

/// The record that the arguments describe: `handle`, or the one in the file.
pub(super) fn read_record(
    handle: Option<&str>,
    data: &DataArgs,
) -> Result<(Handle, Vec<Value>), Failed> {
    let (in_file, values) = match &data.file {
        Some(file) => read_file(file)?,
        None => {
            let values = data.values.iter().map(|text| parse_value(text, data));
            (None, values.collect::<Result<_, _>>()?)
        }
    };
    let handle = match (handle, in_file) {
        (Some(handle), None) => parse_handle(handle)?,
        (None, Some(handle)) => parse_handle(&handle)?,
        (None, None) => {
            return Err(Report::new(Exit::Usage, "no handle is given")
                .hint("name it in front of the options, or as \"handle\" in the file")
                .fail());
        }
        (Some(handle), Some(in_file)) if handle.eq_ignore_ascii_case(&in_file) => {
            parse_handle(handle)?
        }
        (Some(handle), Some(in_file)) => {
            let what = format!("the file is about {in_file}, not about {handle}");
            return Err(Report::new(Exit::Usage, what)
                .hint("leave the handle out to take the one in the file")
                .fail());
        }
    };
    Ok((handle, values))
}

/// A handle that came from the command line or a file.
pub(super) fn parse_handle(handle: &str) -> Result<Handle, Failed> {
    Handle::parse(handle).map_err(|error| {
        Report::new(Exit::Usage, format_args!("`{handle}` is not a handle"))
            .cause(error)
            .hint("a handle is a prefix, a slash and a suffix, such as 88.118.5/SN1")
            .fail()
    })
}

fn parse_value(text: &str, data: &DataArgs) -> Result<Value, Failed> {
    let mut parts = text.trim_start().splitn(3, char::is_whitespace);
    let (index, kind, octets) = (parts.next(), parts.next(), parts.next());
    let index = index.and_then(|index| index.parse::<i32>().ok());
    let (Some(index), Some(kind)) = (index, kind.filter(|kind| !kind.is_empty())) else {
        return Err(Report::new(Exit::Usage, format_args!("`{text}` is not a value"))
            .hint("write index, type and data with spaces between, such as '1 URL https://example.org/'")
            .fail());
    };
    let mut value = Value::new(index, kind, octets.unwrap_or_default());
    if let Some(ttl) = data.ttl {
        value.ttl = Ttl::Relative(ttl);
    }
    value.permissions = data.permissions.unwrap_or(value.permissions);
    Ok(value)
}

/// The handle, if the file has one, and the values.
fn read_file(file: &std::path::Path) -> Result<(Option<String>, Vec<Value>), Failed> {
    let name = file.display();
    let text = read_text(file).map_err(|error| {
        Report::new(Exit::Usage, format_args!("{name} cannot be read"))
            .cause(error)
            .fail()
    })?;
    let record = Record::parse(&text);
    let read = match record {
        Ok(Record {
            handle: handle @ Some(_),
            values,
            ..
        }) => Ok((handle, values)),
        // Without a handle it may be values alone, in any form that HTTP takes too.
        _ => parse_values(&text).map(|values| (None, values)),
    };
    read.map_err(|error| {
        Report::new(Exit::Usage, format_args!("{name} is not a record"))
            .cause(error)
            .hint(
                "a record is {\"handle\":…,\"values\":[…]}; `guantong record get --json` shows one",
            )
            .fail()
    })
}

fn read_text(file: &std::path::Path) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    match file.as_os_str() == "-" {
        true => std::io::stdin()
            .lock()
            .take(FILE_LEN_MAX)
            .read_to_end(&mut text)?,
        false => {
            let file = std::fs::File::open(file)?;
            file.take(FILE_LEN_MAX).read_to_end(&mut text)?
        }
    };
    Ok(text)
}
