//! Async client of the Handle protocol: one server asked, by every transport it offers.

#![doc = include_str!("../README.md")]

mod administrator;
mod answer;
mod attempt;
mod client;
mod confirm;
mod connection;
mod error;
mod exchange;
#[cfg(feature = "https")]
mod http;
pub mod limits;
#[cfg(feature = "https")]
mod packet;
mod query;
mod server;
mod tls;
mod udp;

pub use administrator::{Administrator, Credential};
pub use answer::Answer;
pub use attempt::{Answered, Attempt, Outcome, Trace};
pub use client::{Builder, Client};
pub use confirm::SecretAnswer;
pub use connection::Connection;
pub use error::{Error, Fault, printable};
#[cfg(feature = "https")]
pub use packet::tunnel;
pub use query::Query;
pub use server::{AddressError, Endpoint, HTTP_PORT, NATIVE_PORT, Server, Transport};
pub use tls::Trust;
#[cfg(feature = "https")]
pub use tls::secure;
