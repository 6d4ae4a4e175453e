//! Administration without a running node: the command has the store open itself.

use guantong_api::control::{Ask, Imported, Mode, OnConflict, Reply};

use super::desk::{Desk, Say};
use super::import::{Import, Item};
use super::{Control, Fault, Importer};

/// A desk of our own.
#[derive(Debug)]
pub struct Local {
    desk: Desk,
}

impl Local {
    /// Asks `desk` directly.
    pub fn new(desk: Desk) -> Self {
        Self { desk }
    }
}

impl Control for Local {
    fn ask(&mut self, ask: Ask, say: Say<'_>) -> Result<Reply, Fault> {
        let mut has_stopped = false;
        let reply = self.desk.perform(ask, &mut |body| {
            let said = say(body);
            has_stopped = said.is_err();
            said
        });
        match has_stopped {
            true => Err(Fault::Stopped),
            false => reply.map_err(Fault::Refused),
        }
    }

    fn import(&mut self, on_conflict: OnConflict, mode: Mode) -> Box<dyn Importer + '_> {
        Box::new(self.desk.import(on_conflict, mode))
    }

    fn is_running_node(&self) -> bool {
        false
    }
}

impl Importer for Import<'_> {
    fn submit(&mut self, items: Vec<Item>) -> Result<(), Fault> {
        Import::submit(self, items).map_err(Fault::Refused)
    }

    fn outcomes(&mut self) -> Result<Option<Imported>, Fault> {
        Import::outcomes(self).transpose().map_err(Fault::Refused)
    }

    fn under_way(&self) -> usize {
        Import::under_way(self)
    }
}
