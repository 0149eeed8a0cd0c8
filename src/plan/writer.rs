//! Writes a plan as its lines come, in any order, and joins them in the order of the format.

use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::plan::action::{Action, Section};
use crate::plan::folder::{FolderPair, LeftOut};
use crate::plan::header::{Footer, Header, Totals};
use crate::plan::reader::LINE_OCTETS_MAX;
use crate::plan::recipe::Recipe;

const BUFFER_OCTETS: usize = 64 * 1024;

/// What keeps the lines of one section until all sections are joined: a temporary file, or a
/// `Cursor<Vec<u8>>` for what is small.
pub trait Spool: Read + Write + Seek {}

impl<T: Read + Write + Seek> Spool for T {}

/// A line by reference; written exactly as [`Line`](crate::plan::Line).
#[derive(Serialize)]
#[serde(tag = "line", rename_all = "kebab-case")]
enum LineToWrite<'a> {
    Header(&'a Header),
    Folder(&'a FolderPair),
    LeftOut(&'a LeftOut),
    Recipe(&'a Recipe),
    Action(&'a Action),
    Footer(&'a Footer),
}

impl LineToWrite<'_> {
    fn octets(&self) -> io::Result<Vec<u8>> {
        let mut octets = serde_json::to_vec(self)?;
        octets.push(b'\n');
        if octets.len() > LINE_OCTETS_MAX {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a line of the plan is longer than a plan may have",
            ));
        }
        Ok(octets)
    }
}

/// How long the line of an action is, its end included.
pub(super) fn line_octets(action: &Action) -> usize {
    serde_json::to_vec(&LineToWrite::Action(action)).map_or(0, |line| line.len() + 1)
}

/// The footer's line as it has to stand in the file, its end included.
pub(super) fn footer_line(footer: &Footer) -> io::Result<Vec<u8>> {
    LineToWrite::Footer(footer).octets()
}

/// The parts of a plan between header and footer, in the order of the file.
#[derive(Clone, Copy)]
enum Part {
    Folders,
    LeftOut,
    Recipes,
    Section(Section),
}

impl Part {
    const COUNT: usize = 3 + Section::ALL.len();

    const fn index(self) -> usize {
        match self {
            Self::Folders => 0,
            Self::LeftOut => 1,
            Self::Recipes => 2,
            Self::Section(Section::Folders) => 3,
            Self::Section(Section::Copies) => 4,
            Self::Section(Section::Flags) => 5,
            Self::Section(Section::Subscriptions) => 6,
        }
    }
}

/// Takes the lines of a plan in any order; [`finish`](Self::finish) joins them.
///
/// Needs memory for one line and one buffer a part, however many messages the plan holds. Lines of
/// one part keep the order in which they came.
pub struct PlanWriter {
    header: Header,
    spools: Vec<BufWriter<Box<dyn Spool>>>,
    totals: Totals,
}

impl PlanWriter {
    /// Begins a plan; `make_spool` is called once for each part.
    ///
    /// # Errors
    ///
    /// Those of `make_spool`.
    pub fn new(
        header: Header,
        make_spool: &mut dyn FnMut() -> io::Result<Box<dyn Spool>>,
    ) -> io::Result<Self> {
        let spools = (0..Part::COUNT)
            .map(|_| Ok(BufWriter::with_capacity(BUFFER_OCTETS, make_spool()?)))
            .collect::<io::Result<_>>()?;
        Ok(Self { header, spools, totals: Totals::default() })
    }

    /// Writes a folder pair. Pairs come in the order of their numbers, from 0 on without a gap.
    ///
    /// # Errors
    ///
    /// The spool cannot be written, or the line is longer than a plan may have; so for every call
    /// here.
    pub fn folder(&mut self, pair: &FolderPair) -> io::Result<()> {
        self.totals.add_pair(pair);
        self.put(Part::Folders, &LineToWrite::Folder(pair))
    }

    /// Writes a folder that no pair holds.
    ///
    /// # Errors
    ///
    /// As [`folder`](Self::folder).
    pub fn left_out(&mut self, folder: &LeftOut) -> io::Result<()> {
        self.put(Part::LeftOut, &LineToWrite::LeftOut(folder))
    }

    /// Writes a recipe.
    ///
    /// # Errors
    ///
    /// As [`folder`](Self::folder).
    pub fn recipe(&mut self, recipe: &Recipe) -> io::Result<()> {
        self.put(Part::Recipes, &LineToWrite::Recipe(recipe))
    }

    /// Writes an action into its section. One with many UIDs goes through [`Action::cut`] first.
    ///
    /// # Errors
    ///
    /// As [`folder`](Self::folder).
    pub fn action(&mut self, action: &Action) -> io::Result<()> {
        self.totals.add_action(action);
        self.put(Part::Section(action.section()), &LineToWrite::Action(action))
    }

    /// What the lines so far come to.
    #[must_use]
    pub const fn totals(&self) -> Totals {
        self.totals
    }

    /// Joins all parts into `out` and closes the plan with its footer.
    ///
    /// # Errors
    ///
    /// A spool cannot be read back, or `out` cannot be written. The file is then no plan: it has no
    /// footer.
    pub fn finish(self, out: &mut dyn Write) -> io::Result<Footer> {
        let mut out = Hashing { out, hash: Sha256::new() };
        out.write_all(&LineToWrite::Header(&self.header).octets()?)?;
        for spool in self.spools {
            let mut spool = spool.into_inner().map_err(io::IntoInnerError::into_error)?;
            spool.seek(SeekFrom::Start(0))?;
            let mut spool = io::BufReader::with_capacity(BUFFER_OCTETS, spool);
            io::copy(&mut spool, &mut out)?;
        }
        let Hashing { out, hash } = out;
        let footer = Footer { totals: self.totals, sha256: hexadecimal(&hash.finalize()) };
        out.write_all(&footer_line(&footer)?)?;
        out.flush()?;
        Ok(footer)
    }

    fn put(&mut self, part: Part, line: &LineToWrite<'_>) -> io::Result<()> {
        let octets = line.octets()?;
        match self.spools.get_mut(part.index()) {
            Some(spool) => spool.write_all(&octets),
            None => Err(io::Error::other("no spool for this part of the plan")),
        }
    }
}

/// 64 hexadecimal digits, in lower case.
pub(super) fn hexadecimal(hash: &[u8]) -> String {
    use std::fmt::Write as _;

    hash.iter().fold(String::with_capacity(hash.len() * 2), |mut text, octet| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{octet:02x}");
        text
    })
}

struct Hashing<'a> {
    out: &'a mut dyn Write,
    hash: Sha256,
}

impl Write for Hashing<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let written = self.out.write(octets)?;
        self.hash.update(&octets[..written.min(octets.len())]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
