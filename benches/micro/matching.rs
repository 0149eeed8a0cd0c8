//! Two sides of a million messages each.

use divan::Bencher;
use divan::counter::ItemsCount;
use mailferry::identity::Basis;
use mailferry::identity::Digest;
use mailferry::identity::Fingerprint;
use mailferry::mail::FlagSet;
use mailferry::mail::Timestamp;
use mailferry::mail::Uid;
use mailferry::matching::KnownLink;
use mailferry::matching::Matcher;
use mailferry::matching::Options;
use mailferry::matching::Step;
use mailferry::snapshot::Entry;
use mailferry::snapshot::Row;
use mailferry::snapshot::Rows;

const MESSAGES: u32 = 1_000_000;

/// Messages whose fingerprints come from their numbers; UIDs begin at `first`.
fn side(first: u32) -> Vec<Entry> {
    let flags = FlagSet::new();
    let mut rows = Rows::with_room(u64::from(MESSAGES));
    for number in 0..MESSAGES {
        let uid = Uid::new(first + number).unwrap();
        let date = Some(Timestamp::from_seconds(1_500_000_000 + i64::from(number)));
        rows.push(0, Row { uid, size: Some(10_000), date, flags: &flags });
        // Spread as hashes are.
        let mixed = u128::from(number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        rows.fingerprint_last(Fingerprint {
            digest: Digest(mixed.to_be_bytes()),
            basis: Basis::Key,
        });
    }
    rows.entries
}

fn run(mut matcher: Matcher) -> usize {
    let Step::Done(matched) = matcher.step() else { panic!("keys alone decide") };
    assert_eq!(matched.extra().count(), 0);
    matched.destination().len()
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn million_by_fingerprint(bencher: Bencher) {
    let (source, destination) = (side(1), side(5_000_000));
    bencher
        .counter(ItemsCount::new(MESSAGES))
        .with_inputs(|| (source.clone(), destination.clone()))
        .bench_local_values(|(source, destination)| {
            run(Matcher::new(source, destination, &[], Options::default()))
        });
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn million_by_link(bencher: Bencher) {
    let (source, destination) = (side(1), side(5_000_000));
    let links: Vec<KnownLink> = source
        .iter()
        .zip(&destination)
        .map(|(one, other)| KnownLink {
            folder: 0,
            source: one.uid(),
            destination: Some(other.uid()),
            seen: one.fingerprint(),
        })
        .collect();
    bencher
        .counter(ItemsCount::new(MESSAGES))
        .with_inputs(|| (source.clone(), destination.clone()))
        .bench_local_values(|(source, destination)| {
            run(Matcher::new(source, destination, &links, Options::default()))
        });
}
