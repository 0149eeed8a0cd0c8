//! One plan file, applied as often as one likes: after success, without state, with an old journal,
//! from a second machine. Nothing twice, and no message is sent that is there.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::real::mailbox::ANN;
use crate::real::mailbox::SLOWLY;
use crate::real::mailbox::Servers;
use crate::real::mailbox::Watched;
use crate::real::mailbox::appends;
use crate::real::mailbox::fill;
use crate::support::census::Census;
use crate::support::proxy::Fault;
use crate::support::proxy::Place;
use crate::support::proxy::Proxy;
use crate::support::proxy::Way;

const SOON: Duration = Duration::from_secs(20);

/// All that a run with nothing to do may say to a server: it looks, and changes nothing.
const LOOKS: [&str; 14] = [
    "CAPABILITY",
    "ID",
    "LOGIN",
    "AUTHENTICATE",
    "NAMESPACE",
    "LIST",
    "LSUB",
    "STATUS",
    "EXAMINE",
    "UID FETCH",
    "UNSELECT",
    "ENABLE",
    "NOOP",
    "LOGOUT",
];

/// Commands of which a run with nothing to do has no need.
pub(super) fn changes(commands: &[String]) -> Vec<&String> {
    let harmless = |command: &&String| {
        let upper = command.to_ascii_uppercase();
        let looks = LOOKS.iter().any(|verb| {
            upper.strip_prefix(verb).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        });
        // Header fields may be read; a whole message, or anything that sets \Seen, may not.
        let reads =
            ["BODY[", "BODY.PEEK[]", "BODY.PEEK[TEXT]", "BODY.PEEK[]<", "RFC822 ", "RFC822)"]
                .iter()
                .any(|item| upper.contains(item));
        looks && !reads
    };
    commands.iter().filter(|command| !harmless(command)).collect()
}

/// What was said to a server since.
fn since(proxy: &Proxy, before: usize) -> Vec<String> {
    proxy.commands().split_off(before)
}

/// A mailbox, a plan, and everything copied.
fn copied(servers: &Servers) -> (Watched, Census) {
    fill(&servers.old, ANN, 150, 30_000);
    let expected = Census::of(&servers.old, ANN);
    let watched = servers.watched(ANN, ANN);
    watched.job.plan();
    watched.job.apply().ends(0);
    expected.is_that_of(&Census::of(&servers.new, ANN), "the first run");
    assert_eq!(watched.appends(), expected.messages());
    (watched, expected)
}

/// Runs half of the plan, ends it in order, and returns how many messages it copied. So slowly that the other
/// half is not under way by then.
fn half(watched: &Watched, arguments: &[&str]) -> u64 {
    let arguments = [arguments, &SLOWLY].concat();
    let at = watched.destination.octets(Way::Up) + 150_000;
    watched.destination.arm(Place::Octet(Way::Up, at), Fault::Hold);
    let struck = watched.destination.struck() + 1;
    let running = watched.job.start(&arguments);
    assert!(watched.destination.wait_for_faults(struck, SOON), "{}", running.stderr());
    running.signal(Signal::INT);
    // The wish has to be known before the line goes on.
    std::thread::sleep(Duration::from_millis(100));
    watched.destination.release();
    let ran = running.wait().ends(130);
    ran.json()["accounts"][0]["copied"]["messages"].as_u64().unwrap()
}

#[test]
fn plan_applied_again_changes_nothing_and_fetches_no_body() {
    let servers = Servers::start();
    let (watched, expected) = copied(&servers);
    for round in ["second", "third"] {
        let before = (watched.source.commands().len(), watched.destination.commands().len());
        let ran = watched.job.apply().ends(0);
        let said = (since(&watched.source, before.0), since(&watched.destination, before.1));
        assert!(!said.0.is_empty() && !said.1.is_empty(), "{said:?}");
        assert_eq!(changes(&said.0), Vec::<&String>::new(), "{round}");
        assert_eq!(changes(&said.1), Vec::<&String>::new(), "{round}");
        assert_eq!(ran.json()["accounts"][0]["copied"]["messages"], 0);
        expected.is_that_of(&Census::of(&servers.new, ANN), round);
    }
    watched.job.run(&["plan", "--detailed-exitcode"]).ends(0);
}

#[test]
fn plan_and_verify_change_nothing_on_either_side() {
    let servers = Servers::start();
    fill(&servers.old, ANN, 60, 10_000);
    let watched = servers.watched(ANN, ANN);
    watched.job.plan();
    watched.job.run(&["verify"]).ends(4);
    let unless_read = |commands: &[String]| {
        let quiet: Vec<String> = commands
            .iter()
            .filter(|command| !command.to_ascii_uppercase().contains("BODY.PEEK[]"))
            .cloned()
            .collect();
        changes(&quiet).into_iter().cloned().collect::<Vec<String>>()
    };
    assert_eq!(unless_read(&watched.source.commands()), Vec::<String>::new());
    assert_eq!(unless_read(&watched.destination.commands()), Vec::<String>::new());
}

#[test]
fn plan_applied_again_without_state_sends_nothing_that_is_there() {
    let servers = Servers::start();
    let (watched, expected) = copied(&servers);
    std::fs::remove_dir_all(watched.job.state_folder()).unwrap();
    let before = watched.destination.commands().len();
    watched.job.apply().ends(0);
    assert_eq!(appends(&since(&watched.destination, before)), 0);
    expected.is_that_of(&Census::of(&servers.new, ANN), "without state");
    assert_eq!(watched.job.open_intents(), 0);
}

#[test]
fn plan_applied_again_without_state_after_half_of_it_sends_the_other_half() {
    let servers = Servers::start();
    fill(&servers.old, ANN, 150, 30_000);
    let expected = Census::of(&servers.old, ANN);
    let watched = servers.watched(ANN, ANN);
    watched.job.plan();
    let done = half(&watched, &["apply", "plan", "--json"]);
    assert!(done > 0, "nothing was done");
    std::fs::remove_dir_all(watched.job.state_folder()).unwrap();
    let there = Census::of(&servers.new, ANN).messages();
    assert!(there < expected.messages(), "all was done");
    let before = watched.destination.commands().len();
    watched.job.apply().ends(0);
    let sent = appends(&since(&watched.destination, before));
    assert_eq!(sent, expected.messages() - there);
    expected.is_that_of(&Census::of(&servers.new, ANN), "without state");
}

#[test]
fn plan_applied_again_with_an_earlier_journal_sends_nothing_that_is_there() {
    let servers = Servers::start();
    fill(&servers.old, ANN, 150, 30_000);
    let expected = Census::of(&servers.old, ANN);
    let watched = servers.watched(ANN, ANN);
    watched.job.plan();
    let done = half(&watched, &["apply", "plan", "--json"]);
    assert!(done > 0, "nothing was done");
    let early = watched.job.path("early");
    copy(&watched.job.state_folder(), &early);
    watched.job.apply().ends(0);
    assert_eq!(watched.appends(), expected.messages());
    std::fs::remove_dir_all(watched.job.state_folder()).unwrap();
    copy(&early, &watched.job.state_folder());
    assert!(watched.job.links() < u64::try_from(expected.messages()).unwrap());
    watched.job.apply().ends(0);
    assert_eq!(watched.appends(), expected.messages(), "sent again");
    expected.is_that_of(&Census::of(&servers.new, ANN), "with an earlier journal");
    assert_eq!(watched.job.open_intents(), 0);
}

#[test]
fn plan_of_which_a_second_machine_has_applied_half_sends_the_other_half() {
    let servers = Servers::start();
    fill(&servers.old, ANN, 150, 30_000);
    let expected = Census::of(&servers.old, ANN);
    let mut watched = servers.watched(ANN, ANN);
    watched.job.plan();
    watched.job.state = "second-machine".to_owned();
    let done = half(&watched, &["apply", "plan", "--json"]);
    let there = Census::of(&servers.new, ANN).messages();
    assert!(done > 0 && there < expected.messages(), "{done}, {there}");
    watched.job.state = ".mailferry".to_owned();
    let before = watched.destination.commands().len();
    watched.job.apply().ends(0);
    let sent = appends(&since(&watched.destination, before));
    assert_eq!(sent, expected.messages() - there);
    expected.is_that_of(&Census::of(&servers.new, ANN), "after both");
    // And the second machine goes on with what it knows: it finds the rest.
    watched.job.state = "second-machine".to_owned();
    watched.job.apply().ends(0);
    assert_eq!(watched.appends(), expected.messages());
    expected.is_that_of(&Census::of(&servers.new, ANN), "after all");
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg("-T").arg(from).arg(to).status().unwrap();
    assert!(status.success());
}
