//! Flags of messages that are to come are asked about before the first of them goes.

use crate::real::mailbox::{ANN, Servers, leave_a_gap, put};
use crate::support::mail;

/// Messages of each folder: more than are on their way when it is opened.
const MESSAGES: u32 = 40;

/// How many commands come before the first that this holds of.
fn before(commands: &[String], what: impl Fn(&str) -> bool) -> usize {
    let found = commands.iter().position(|command| what(command));
    found.unwrap_or_else(|| panic!("not among {commands:#?}"))
}

/// What the destination, of which the manifest says `more`, was told to copy a message with a flag from each of
/// these folders.
fn commands_to_copy(folders: &[&str], more: &str) -> Vec<String> {
    let servers = Servers::start();
    let mut client = servers.old.login(ANN);
    for (number, folder) in (0..).zip(folders) {
        if *folder != "INBOX" {
            client.create(folder);
        }
        put(&mut client, folder, &mail::sample_of(number, 300));
        client.select(folder);
        client.store("1:*", "+FLAGS ($Late)");
    }
    leave_a_gap(&mut client);
    let mut watched = servers.watched(ANN, ANN);
    watched.job.destination.more.push_str(more);
    watched.job.write();
    watched.job.plan();
    watched.job.apply().ends(0);
    watched.destination.commands()
}

#[test]
fn what_a_server_understands_is_asked_while_folders_are_made_if_mail_goes_to_inbox() {
    for (folders, place, is_early) in
        [(["INBOX", "Late"].as_slice(), "INBOX", true), (&["Late"], "INBOX.Late", false)]
    {
        let more = "profile = \"dovecot\"\nlimits.connections = 1\n";
        let commands = commands_to_copy(folders, more);
        let question = format!("APPEND \"{place}\" (\\Mailferry-Probe) {{0+}}");
        let asked = before(&commands, |command| command == question);
        let made = before(&commands, |command| command.starts_with("CREATE"));
        assert_eq!(asked < made, is_early, "{commands:#?}");
        let questions =
            commands.iter().filter(|command| command.contains("(\\Mailferry-Probe) {0+}"));
        assert_eq!(questions.count(), 1, "{commands:#?}");
    }
}

#[test]
fn what_is_tried_at_all_is_tried_in_a_folder_that_was_made_if_there_is_one() {
    for (folders, verb) in [(["INBOX"].as_slice(), "EXAMINE"), (&["INBOX", "Late"], "SELECT")] {
        let commands = commands_to_copy(folders, "");
        let tried = before(&commands, |command| command.contains("Mailferry-Probe"));
        assert!(commands[tried - 1].starts_with(verb), "{commands:#?}");
        let of = |command: &&String| command.starts_with("UID STORE") && command.contains("$Late");
        assert_eq!(commands.iter().filter(of).count(), 1, "{commands:#?}");
    }
}

#[test]
fn flag_of_the_last_message_is_known_before_the_first_one_goes() {
    for (profile, folder, question) in [
        // A folder that was made a moment ago, and one that was there, which is open only to be read; and, by an
        // append of nothing, one that holds mail.
        ("generic", "INBOX.Late", "UID STORE 2147480000 +FLAGS.SILENT ($Late)"),
        ("generic", "INBOX", "UID STORE 2147480000 +FLAGS.SILENT ($Late)"),
        ("dovecot", "INBOX", "APPEND \"INBOX\" ($Late) {0+}"),
    ] {
        let servers = Servers::start();
        let source = folder.trim_start_matches("INBOX.");
        let mut client = servers.old.login(ANN);
        if source != "INBOX" {
            client.create(source);
        }
        for number in 0..MESSAGES {
            put(&mut client, source, &mail::sample_of(number, 300));
        }
        client.select(source);
        client.store(&MESSAGES.to_string(), "+FLAGS ($Late)");
        leave_a_gap(&mut client);
        let there = u32::from(profile == "dovecot");
        for number in 0..there {
            put(&mut servers.new.login(ANN), folder, &mail::sample_of(1_000 + number, 300));
        }
        let mut watched = servers.watched(ANN, ANN);
        let more = &mut watched.job.destination.more;
        more.push_str(&format!("profile = \"{profile}\"\n"));
        watched.job.write();
        watched.job.plan();
        watched.job.apply().ends(0);
        let messages = servers.new.login(ANN).status(folder, "MESSAGES");
        assert_eq!(messages, u64::from(MESSAGES + there));
        let commands = watched.destination.commands();
        let asked = before(&commands, |command| command.starts_with(question));
        let append = format!("APPEND \"{folder}\"");
        let first =
            before(&commands, |command| command.starts_with(&append) && !command.contains("{0+}"));
        assert!(asked < first, "{profile}: {commands:#?}");
        if question.starts_with("UID STORE") {
            let opens = |command: &&String| command.contains(&format!(" \"{folder}\""));
            let opened = commands[..asked].iter().rfind(opens).unwrap();
            let verb = if folder == "INBOX" { "EXAMINE" } else { "SELECT" };
            assert!(opened.starts_with(verb), "{opened}");
        }
        // It waited for nothing when it came.
        let late = |command: &&String| command.starts_with(&append) && command.contains("$Late");
        let sent = commands.iter().rfind(late).unwrap();
        let (_, own) = sent.rsplit_once("$Late").unwrap();
        let (_, octets) = own.split_once('{').unwrap();
        assert!(octets.split('}').next().unwrap().ends_with('+'), "{profile}: {sent}");
    }
}
