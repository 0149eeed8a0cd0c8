//! A server that answers too slowly to ever end. Apart from the other insults, because tests begin in
//! the order of their names and this one takes a minute, which it had better spend beside others.

use std::time::Duration;

use crate::support::scripted::Reaction;
use crate::trust::always;
use crate::trust::ends;
use crate::trust::job;

/// Least progress is a kibibyte a minute, whatever the timeout: a drip keeps no run alive.
#[test]
fn server_that_drips_is_given_up_after_a_minute() {
    let drips: [(&str, &[u8]); 3] = [
        ("GREETING", b"* OK ready "),
        ("LIST", b"* LIST () \"/\" a\r\n"),
        ("UID FETCH", b"* 1 FETCH (FLAGS ())\r\n"),
    ];
    std::thread::scope(|scope| {
        for (verb, drip) in drips {
            scope.spawn(move || {
                let (source, destination) = ends();
                let job = job(&source, &destination, 0);
                always(&source, verb, &Reaction::Drip(drip.to_vec(), Duration::from_millis(400)));
                let ran = job.run(&["plan"]);
                assert_eq!(ran.code, Some(9), "{verb}: {ran:#?}");
                assert!(ran.stderr.contains("1 KiB a minute"), "{verb}: {ran:#?}");
                assert!(ran.time < Duration::from_secs(110), "{verb}: {ran:#?}");
            });
        }
    });
}
