//! Writes a corpus as a maildir with folders as directories (Dovecot's `LAYOUT=fs`).

use std::fs;
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;
use std::time::SystemTime;

use clap::Args;

use crate::Fault;
use crate::corpus;
use crate::corpus::KEYWORDS;
use crate::corpus::Sample;
use crate::corpus::Size;

/// A corpus, and where it is to be.
#[derive(Args)]
pub(crate) struct Corpus {
    /// How much mail
    size: Size,
    /// The maildir to write, which is made
    maildir: PathBuf,
    /// Another seed gives other mail
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Writes it and prints one line about it.
pub(crate) fn write(wanted: &Corpus) -> Result<(), Fault> {
    let folders = wanted.size.folders();
    let places: Vec<PathBuf> = folders
        .iter()
        .map(
            |name| if name == "INBOX" { wanted.maildir.clone() } else { wanted.maildir.join(name) },
        )
        .collect();
    let keywords: String =
        KEYWORDS.iter().enumerate().map(|(number, word)| format!("{number} {word}\n")).collect();
    for place in &places {
        for part in ["cur", "new", "tmp"] {
            fs::create_dir_all(place.join(part))
                .map_err(|fault| format!("{}: {fault}", place.display()))?;
        }
        fs::write(place.join("dovecot-keywords"), &keywords)?;
    }
    let mut sizes: Vec<usize> = Vec::new();
    corpus::each(wanted.size, wanted.seed, |sample| {
        let lines = sample.text.bytes().filter(|octet| *octet == b'\n').count();
        sizes.push(sample.text.len() + lines);
        put(&places[sample.folder], sample, sizes.len(), lines)
    })?;
    sizes.sort_unstable();
    println!(
        "{} messages in {} folders, {} octets; median {}, largest {}",
        sizes.len(),
        folders.len(),
        sizes.iter().sum::<usize>(),
        sizes[sizes.len() / 2],
        sizes[sizes.len() - 1]
    );
    Ok(())
}

fn put(
    folder: &std::path::Path,
    sample: &Sample,
    number: usize,
    lines: usize,
) -> Result<(), Fault> {
    // Dovecot gives UIDs in the order of these names, and reads both sizes from them.
    let octets = sample.text.len();
    let keyword =
        sample.keyword.and_then(|number| b"abcdef".get(number)).map(|letter| char::from(*letter));
    let name = format!(
        "{}.M{number}P1.bench,S={octets},W={}:2,{}{}",
        1_600_000_000 + number,
        octets + lines,
        sample.flags,
        keyword.map(String::from).unwrap_or_default()
    );
    let mut file = File::create(folder.join("cur").join(name))?;
    file.write_all(sample.text.as_bytes())?;
    // Dovecot takes it for INTERNALDATE.
    let date = Duration::from_secs(u64::try_from(sample.seconds)?);
    file.set_modified(SystemTime::UNIX_EPOCH + date)?;
    Ok(())
}
