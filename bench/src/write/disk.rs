//! What the disk can do: writes of a record's length, one behind the other, synced.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::machine;

/// Octets of a write: a record with its entry in the change log, roughly.
const WRITE_LEN: u64 = 400;
/// Octets of the answer to a create.
const ANSWER_LEN: usize = 150;
/// Octets of the file. They are there before the first measurement, so that a sync is one of data
/// and the file system has nothing to note.
const FILE_LEN: u64 = 64 << 20;

/// A file to write to.
pub(super) struct Disk(File);

impl Disk {
    /// Makes the file.
    pub(super) fn new(path: &Path) -> Result<Self> {
        let file = File::create(path).with_context(|| path.display().to_string())?;
        let piece = vec![7; 1 << 20];
        for at in (0..FILE_LEN).step_by(piece.len()) {
            file.write_all_at(&piece, at)?;
        }
        file.sync_all()?;
        Ok(Self(file))
    }

    /// Writes per second, of which `group` at a time are synced. Begins again at the end.
    pub(super) fn rate(&self, group: u64, time: Duration) -> Result<f64> {
        let (mut count, begun) = (0, Instant::now());
        while begun.elapsed() < time {
            for _ in 0..group {
                self.write(count, &[count as u8; WRITE_LEN as usize])?;
                count += 1;
            }
            self.0.sync_data()?;
        }
        Ok(count as f64 / begun.elapsed().as_secs_f64())
    }

    /// Writes per second of a server on `core` that receives each over a connection, writes it,
    /// syncs it and answers, and does nothing else: the floor for one client.
    pub(super) fn served_rate(&self, core: usize, time: Duration) -> Result<f64> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let client = TcpStream::connect(listener.local_addr()?)?;
        let (served, _) = listener.accept()?;
        std::thread::scope(|scope| {
            let server = scope.spawn(move || self.serve(served, core));
            let rate = ask(client, time);
            // What the client meets follows from what the server has met.
            let Ok(served) = server.join() else {
                bail!("the server that only syncs has panicked");
            };
            served.and(rate)
        })
    }

    /// Serves a connection until it ends.
    fn serve(&self, mut stream: TcpStream, core: usize) -> Result<()> {
        machine::pin(core)?;
        stream.set_nodelay(true)?;
        let mut octets = [0; WRITE_LEN as usize];
        for count in 0.. {
            if stream.read_exact(&mut octets).is_err() {
                break;
            }
            self.write(count, &octets)?;
            self.0.sync_data()?;
            stream.write_all(&octets[..ANSWER_LEN])?;
        }
        Ok(())
    }

    /// Writes where it is the turn of the one with this number.
    fn write(&self, number: u64, octets: &[u8]) -> Result<()> {
        let at = number * WRITE_LEN % (FILE_LEN - WRITE_LEN);
        Ok(self.0.write_all_at(octets, at)?)
    }
}

/// Asks for one write after the other; how many a second are answered.
fn ask(mut stream: TcpStream, time: Duration) -> Result<f64> {
    stream.set_nodelay(true)?;
    let (mut count, mut answer, begun) = (0, [0; ANSWER_LEN], Instant::now());
    while begun.elapsed() < time {
        stream.write_all(&[count as u8; WRITE_LEN as usize])?;
        stream.read_exact(&mut answer)?;
        count += 1;
    }
    Ok(f64::from(count) / begun.elapsed().as_secs_f64())
}
