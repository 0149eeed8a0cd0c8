//! The journal of what is sent, on the disk where `TMPDIR` is.

use divan::Bencher;
use divan::counter::ItemsCount;
use mailferry::identity::Basis;
use mailferry::identity::Digest;
use mailferry::mail::Side;
use mailferry::mail::Uid;
use mailferry::mail::UidValidity;
use mailferry::mail::WireName;
use mailferry::state::FolderId;
use mailferry::state::FolderKey;
use mailferry::state::Intent;
use mailferry::state::IntentId;
use mailferry::state::Link;
use mailferry::state::Outcome;
use mailferry::state::SqliteState;
use mailferry::state::State;
use mailferry::state::StoredCopy;

const MESSAGES: u32 = 10_000;

fn folder(state: &mut SqliteState, side: Side) -> FolderId {
    let uid_validity = UidValidity::new(7).unwrap();
    state
        .folder(&FolderKey { side, wire: WireName::new(*b"INBOX"), uid_validity, mailbox_id: None })
        .unwrap()
}

fn outcome(id: IntentId, number: u32) -> (IntentId, Outcome) {
    let link = Link {
        source: Uid::new(number).unwrap(),
        destination: Uid::new(number),
        digest: Digest(
            u128::from(number)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
                .to_be_bytes(),
        ),
        basis: Basis::Key,
        octets: 10_000,
        flags: None,
        copied_by: None,
    };
    (id, Outcome::Stored(StoredCopy { link, owned: None }))
}

/// Intents and outcomes of 10,000 messages, so many in a commit; two commits for each batch.
#[divan::bench(args = [1_000, 100], sample_count = 5, sample_size = 1)]
fn ten_thousand_messages_in_batches(bencher: Bencher, batch: u32) {
    let opened = || {
        let place = tempfile::tempdir().unwrap();
        let mut state = SqliteState::open(&place.path().join("state.db")).unwrap();
        let folders = (folder(&mut state, Side::Source), folder(&mut state, Side::Destination));
        (place, state, folders)
    };
    bencher.counter(ItemsCount::new(MESSAGES)).with_inputs(opened).bench_local_values(
        |(place, mut state, (source_folder, destination_folder))| {
            for first in (1..=MESSAGES).step_by(usize::try_from(batch).unwrap()) {
                let numbers = first..first + batch;
                let intents: Vec<Intent> = numbers
                    .clone()
                    .map(|number| Intent {
                        source_folder,
                        source: Uid::new(number).unwrap(),
                        destination_folder,
                        uid_next: Uid::new(first).unwrap(),
                    })
                    .collect();
                let ids = state.intend(&intents).unwrap();
                let outcomes: Vec<_> =
                    ids.into_iter().zip(numbers).map(|(id, number)| outcome(id, number)).collect();
                state.settle(&outcomes).unwrap();
            }
            // Removing the file is not measured.
            (place, state)
        },
    );
}
