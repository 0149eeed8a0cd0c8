//! The suite on the server in memory: with `/` and no prefix, with `.` and `INBOX.`, as one that takes
//! batches, and as one that offers nothing and gives rows backwards.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use mailferry::mail::{Flag, InternalDate, Timestamp, WireName};
use mailferry::store::memory::{MemoryServer, Options, RowOrder};
use mailferry::store::{Abilities, Destination, Source};

use crate::store_suite::{Ground, Kept, Sample, suite};

struct MemoryGround {
    server: MemoryServer,
    prefix: &'static str,
    delimiter: u8,
}

impl MemoryGround {
    fn plain() -> Self {
        Self { server: MemoryServer::default(), prefix: "", delimiter: b'/' }
    }

    fn prefixed() -> Self {
        let options = Options {
            prefix: "INBOX.".to_owned(),
            delimiter: Some(b'.'),
            takes_nul: false,
            window: 1,
            ..Options::default()
        };
        Self { server: MemoryServer::new(options), prefix: "INBOX.", delimiter: b'.' }
    }

    /// Several messages an append.
    fn batching() -> Self {
        let mut options =
            Options { window: 100, batch: 16, takes_nul: false, ..Options::default() };
        options.abilities.append.multi = true;
        Self { server: MemoryServer::new(options), ..Self::plain() }
    }

    fn poor() -> Self {
        let options = Options {
            abilities: Abilities::default(),
            row_order: RowOrder::Descending,
            window: 100,
            ..Options::default()
        };
        Self { server: MemoryServer::new(options), ..Self::plain() }
    }
}

impl Ground for MemoryGround {
    fn source(&mut self) -> Box<dyn Source> {
        Box::new(self.server.session().unwrap())
    }

    fn destination(&mut self) -> Box<dyn Destination> {
        Box::new(self.server.session().unwrap())
    }

    fn name(&self, levels: &[&str]) -> WireName {
        WireName::from_levels(self.prefix, levels.iter().copied(), Some(self.delimiter)).unwrap()
    }

    fn fill(&mut self, folder: &WireName, samples: &[Sample]) {
        self.server.with(|account| {
            account.folder_at(folder);
            for sample in samples {
                let flags = sample.flags.split_whitespace();
                let flags = flags.map(|flag| Flag::from_wire(flag.as_bytes()).unwrap()).collect();
                let date = InternalDate::new(Timestamp::from_seconds(sample.date), 0);
                account.store(folder, &flags, date, &sample.octets);
            }
        });
    }

    fn read_back(&mut self, folder: &WireName) -> Vec<Kept> {
        self.server.with(|account| {
            let kept = account.find(folder).unwrap().mails.iter().map(|mail| Kept {
                uid: mail.uid.get(),
                flags: mail.flags.clone(),
                date: mail.date.instant(),
                octets: mail.octets.to_vec(),
            });
            kept.collect()
        })
    }

    fn expunge(&mut self, folder: &WireName, uids: &[u32]) {
        let name = String::from_utf8(folder.as_octets().to_vec()).unwrap();
        self.server.with(|account| account.expunge(&name, uids.iter().copied()));
    }

    fn refused_message(&self) -> Vec<u8> {
        Vec::new()
    }
}

mod plain {
    use super::*;
    suite!(MemoryGround::plain());
}

mod prefixed {
    use super::*;
    suite!(MemoryGround::prefixed());
}

mod poor {
    use super::*;
    suite!(MemoryGround::poor());
}

mod batching {
    use super::*;
    suite!(MemoryGround::batching());
}
