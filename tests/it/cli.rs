//! The program as people and scripts run it, between two real servers.

use std::fs;
use std::io::Read as _;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::support::dovecot::{Dovecot, DovecotOptions, Tls};
use crate::support::job::{End, Job, Ran, run_in};
use crate::support::mail::sample;
use crate::support::{mailferry, project, short_folder};

/// What people and scripts see of a run.
trait Shown: Sized {
    fn ended(self, code: i32) -> Self;
    fn tells(self, text: &str) -> Self;
    fn document(&self) -> Value;
}

impl Shown for Ran {
    /// Demands an exit code. Nothing here is a terminal, so that both streams are plain and at most 80
    /// columns wide.
    #[track_caller]
    fn ended(self, code: i32) -> Self {
        let ran = self.ends(code);
        let text = !ran.stdout.starts_with('{');
        for line in ran.stdout.lines().chain(ran.stderr.lines()).filter(|_| text) {
            assert!(line.chars().count() <= 80, "wider than 80 columns: {line}");
            assert!(!line.contains('\u{1b}'), "not plain: {line:?}");
        }
        ran
    }

    #[track_caller]
    fn tells(self, text: &str) -> Self {
        let both = format!("{}{}", self.stdout, self.stderr);
        assert!(both.contains(text), "{text:?} is not in:\n{both}");
        self
    }

    /// The one document on stdout, which agrees with the committed schema.
    #[track_caller]
    fn document(&self) -> Value {
        let schema = fs::read(project().join("schemas/report.schema.json")).unwrap();
        let schema: Value = serde_json::from_slice(&schema).unwrap();
        let document = self.json();
        let validator = jsonschema::validator_for(&schema).unwrap();
        validator.validate(&document).unwrap_or_else(|fault| panic!("{fault}\n{}", self.stdout));
        assert_eq!(document["exit"], self.code.unwrap(), "{}", self.stdout);
        document
    }
}

/// Two servers and a job from one to the other.
struct Desk {
    old: Dovecot,
    new: Dovecot,
    job: Job,
}

impl Desk {
    /// With three messages in INBOX, one of them marked deleted, and two in Sent.
    fn new() -> Self {
        let old = Dovecot::start(DovecotOptions::slash());
        let new = Dovecot::start(DovecotOptions::dot());
        let job = Job::hasty(End::of(&old, "ann"), End::of(&new, "ann"), "");
        let desk = Self { old, new, job };
        let mut client = desk.old.login("ann");
        client.create("Sent");
        for (number, folder, flags) in [
            (1, "INBOX", r"\Seen"),
            (2, "INBOX", ""),
            (3, "INBOX", r"\Deleted"),
            (4, "Sent", r"\Seen"),
            (5, "Sent", ""),
        ] {
            client.append(folder, &[flags], None, &sample(number).octets);
        }
        desk
    }

    fn manifest(&self) -> String {
        self.job.manifest()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.job.path(name), text).unwrap();
    }

    fn run(&self, line: &str) -> Ran {
        self.job.run(&line.split_whitespace().collect::<Vec<_>>())
    }

    fn mode(&self, name: &str) -> u32 {
        let found = fs::metadata(self.job.path(name)).unwrap();
        found.permissions().mode() & 0o777
    }

    fn stored(&self) -> usize {
        let mut client = self.new.login("ann");
        let folders = client.folders();
        folders.iter().map(|folder| client.messages(folder).len()).sum()
    }
}

#[test]
fn a_migration_goes_from_validate_to_verify_and_names_each_next_step() {
    let desk = Desk::new();
    desk.run("validate").ended(0).tells("Next: mailferry plan -o FILE");
    let planned = desk.run("plan -o tonight.plan --detailed-exitcode").ended(2);
    planned
        .tells("Plan: create 1 folder, copy 4 messages")
        .tells(". 1 message is marked deleted at the source and stays there")
        .tells("Next: mailferry apply tonight.plan");
    assert_eq!(desk.stored(), 0);
    desk.run("show tonight.plan").ended(0).tells("Next: mailferry apply tonight.plan");
    let messages = desk.run("show tonight.plan --detail messages").ended(0);
    messages.tells("  + 1:2").tells("marked-deleted");
    desk.run("show tonight.plan --check").ended(0).tells("tonight.plan is whole.");
    let applied = desk.run("apply tonight.plan").ended(0);
    assert!(applied.stderr.contains(": 4 messages, "), "{}", applied.stderr);
    applied.tells("Copied       4 of 4 messages").tells("Next: mailferry verify");
    desk.run("verify").ended(0).tells("4 of 4 messages found by identity").tells("Equal (exit 0).");
    desk.run("apply tonight.plan").ended(0).tells("Copied       0 of 0 messages");
    desk.run("plan --detailed-exitcode").ended(0).tells("Nothing to do: 2 folders, 4 messages are");
    assert_eq!(desk.stored(), 4);
}

#[test]
fn a_folder_that_stays_undone_is_never_success() {
    let desk = Desk::new();
    desk.run("apply --yes").ended(0);
    let mut client = desk.old.login("ann");
    for name in ["x.y", "x_y"] {
        client.create(name);
        client.append(name, &[], None, &sample(7).octets);
    }
    desk.run("plan").ended(0).tells("name-collision");
    desk.run("plan --detailed-exitcode").ended(2);
    desk.run("apply --yes").ended(3).tells("name-collision");
    assert_eq!(desk.stored(), 4);
}

#[test]
fn json_is_one_document_that_agrees_with_its_schema() {
    let desk = Desk::new();
    let plan = desk.run("plan -o a.plan --json --detailed-exitcode").ended(2).document();
    assert_eq!(plan["accounts"][0]["totals"]["copies"], 4);
    assert_eq!(plan["accounts"][0]["saved"], "a.plan");
    let show = desk.run("show a.plan --json").ended(0).document();
    assert!(show["accounts"][0]["actions"].is_null());
    let show = desk.run("show a.plan --json --detail messages").ended(0).document();
    let actions = show["accounts"][0]["actions"].as_array().unwrap();
    let copied: u64 = actions
        .iter()
        .filter(|action| action["action"] == "copy")
        .map(|action| action["messages"].as_u64().unwrap())
        .sum();
    assert_eq!(copied, 4, "{actions:#?}");
    let apply = desk.run("apply a.plan --json").ended(0).document();
    assert_eq!(apply["accounts"][0]["copied"]["messages"], 4);
    let verify = desk.run("verify --json").ended(0).document();
    assert_eq!(verify["accounts"][0]["folders"].as_array().unwrap().len(), 2);
    let nothing = desk.run("apply --yes --json").ended(0).document();
    assert_eq!(nothing["accounts"].as_array().unwrap().len(), 0);

    let mut client = desk.new.login("ann");
    client.remove("INBOX.Sent", "1");
    let verify = desk.run("verify --json").ended(4).document();
    assert_eq!(verify["accounts"][0]["differences"][0]["reason"], "missing");
    desk.run("verify").ended(4).tells("Next: mailferry plan -o FILE");
}

#[test]
fn a_failure_is_a_document_too() {
    let desk = Desk::new();
    desk.write("bad.toml", "version = 1\n[source]\nhst = \"a\"\n");
    desk.write("no.plan", "{}\n");
    let cases = [
        ("plan bad.toml --json", 78, "`[destination]` is missing"),
        ("verify bad.toml --json", 78, "`[destination]` is missing"),
        ("apply bad.toml --json", 78, "`[destination]` is missing"),
        ("show no.plan --json", 6, "the file is not a plan"),
        ("show none.plan --json", 64, "the file cannot be opened"),
        ("apply none.plan --json", 64, "the file cannot be opened"),
        ("apply --json", 64, "there is no terminal to ask on"),
        ("plan --json --set source.port=1", 9, "the source cannot be reached"),
        ("plan --json --set destination.password.env=TZ", 8, "the destination refused the login"),
        ("plan --json -o .", 64, "the plan cannot be saved there"),
    ];
    for (line, code, sentence) in cases {
        let ran = desk.run(line).ended(code);
        let document = ran.document();
        assert_eq!(document["problems"][0]["sentence"], sentence, "{line}");
        assert!(ran.stderr.contains(sentence), "{line}: people are told as well\n{}", ran.stderr);
    }
}

#[test]
fn a_wrong_command_line_ends_with_64_and_says_what_was_meant() {
    let folder = short_folder();
    for (line, hint) in [
        ("aply", "'apply'"),
        ("plan --detailed-exit", "'--detailed-exitcode'"),
        ("verify --level bodies", "counts, content"),
        ("show", "<PLAN>"),
        ("", "Usage: mailferry"),
    ] {
        let ran = run_in(folder.path(), &line.split_whitespace().collect::<Vec<_>>());
        let ran = ran.ended(64).tells(hint);
        assert_eq!(ran.stdout, "", "{line}");
    }
}

#[test]
fn help_fits_a_screen_and_shows_examples() {
    let folder = short_folder();
    for command in ["validate", "schema", "plan", "show", "apply", "verify"] {
        run_in(folder.path(), &[command, "--help"]).ended(0).tells("Examples:\n  mailferry ");
        run_in(folder.path(), &["--help"]).ended(0).tells(&format!("\n  {command} "));
    }
    let version = run_in(folder.path(), &["--version"]).ended(0);
    assert_eq!(version.stdout, concat!("mailferry ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn a_manifest_with_faults_ends_with_78_and_one_without_password_too() {
    let desk = Desk::new();
    desk.run("validate none.toml").ended(78).tells("there is no such file");
    desk.run("plan --set folders.exlude=[\"a\"]").ended(78).tells("did you mean `exclude`?");
    let unset = desk.run("plan --set source.password.env=CLI_NO_SUCH").ended(78);
    unset.tells("set CLI_NO_SUCH, and export it").tells("Nothing was changed.");
    let asked = desk.manifest().replace("password =", "#");
    desk.write("asked.toml", &asked);
    desk.run("plan asked.toml").ended(78).tells("there is no terminal to ask for it");
}

#[test]
fn an_altered_plan_and_that_of_another_manifest_end_with_6() {
    let desk = Desk::new();
    desk.run("plan -o a.plan").ended(0);
    let plan = fs::read_to_string(desk.job.path("a.plan")).unwrap();
    desk.write("cut.plan", &plan[..plan.len() / 2]);
    desk.write("altered.plan", &plan.replacen("ann", "bob", 1));
    for line in
        ["apply cut.plan", "apply altered.plan", "show cut.plan", "show altered.plan --check"]
    {
        desk.run(line).ended(6).tells("error: the plan");
    }
    desk.write("mailferry.toml", &(desk.manifest() + "\n[messages]\ndeleted = \"keep\"\n"));
    desk.run("apply a.plan").ended(6).tells("the manifest decides other things");
    assert_eq!(desk.stored(), 0);
}

#[test]
fn a_login_that_leads_elsewhere_ends_with_12_before_anything_is_written() {
    let desk = Desk::new();
    desk.run("plan -o a.plan").ended(0);
    let other = Dovecot::start(DovecotOptions::slash());
    // Dovecot makes an inbox at the first login and its UIDVALIDITY from the second of that: let it
    // be another one.
    thread::sleep(Duration::from_millis(1_100));
    let repointed = format!(
        "apply a.plan --set destination.host={} --set destination.port={}",
        other.host, other.imap_port
    );
    desk.run(&repointed).ended(12).tells("the destination login leads to another account");
    assert_eq!(other.login("ann").messages("INBOX").len(), 0);
    let same = format!(
        "plan --set destination.host={} --set destination.port={}",
        desk.old.host, desk.old.imap_port
    );
    desk.run(&same).ended(12).tells("source and destination are one mailbox");
}

#[test]
fn a_plan_is_saved_by_a_rename_for_its_owner_only() {
    let desk = Desk::new();
    desk.write("a.plan", "what was there before\n");
    let mut before = fs::File::open(desk.job.path("a.plan")).unwrap();
    desk.run("plan -o a.plan").ended(0);
    let mut text = String::new();
    before.read_to_string(&mut text).unwrap();
    assert_eq!(text, "what was there before\n", "the old file was written into");
    assert_eq!(desk.mode("a.plan"), 0o600);
    assert_eq!(desk.mode(".mailferry"), 0o700);
    assert_eq!(desk.mode(".mailferry/catalogue.db"), 0o600);
    desk.run("plan -o below/here/b.plan").ended(0);
    assert_eq!(desk.mode("below/here/b.plan"), 0o600);
    desk.run("plan -o /dev/null").ended(64).tells("this is no ordinary file");
    let left: Vec<_> = fs::read_dir(desk.job.folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(".mailferry-plan-"))
        .collect();
    assert_eq!(left, [""; 0]);
}

#[test]
fn the_next_step_names_another_manifest_and_works() {
    let desk = Desk::new();
    desk.write("office.toml", &desk.manifest());
    fs::remove_file(desk.job.path("mailferry.toml")).unwrap();
    desk.run("validate office.toml").ended(0).tells("Next: mailferry plan office.toml -o FILE");
    let planned = desk.run("plan office.toml -o a.plan").ended(0);
    let next = "mailferry apply a.plan --manifest office.toml";
    planned.tells(&format!("Next: {next}\n"));
    let applied = desk.run(next.strip_prefix("mailferry ").unwrap()).ended(0);
    applied.tells("Next: mailferry verify office.toml\n");
    desk.run("verify office.toml").ended(0);
}

#[test]
fn a_part_of_a_plan_is_not_called_equal() {
    let desk = Desk::new();
    desk.run("plan -o a.plan").ended(0);
    let ran = desk.run("apply a.plan --only folders").ended(2);
    ran.tells("the plan has more to do (exit 2).").tells("Next: mailferry apply a.plan\n");
    assert_eq!(desk.new.login("ann").folders().len(), 2);
    assert_eq!(desk.stored(), 0);
    desk.run("apply a.plan").ended(0);
}

#[test]
fn mail_that_is_only_at_the_destination_is_counted_and_empty_folders_are_not() {
    let desk = Desk::new();
    let mut client = desk.new.login("ann");
    client.create("INBOX.Empty");
    client.create("INBOX.Mine");
    client.append("INBOX.Mine", &[], None, &sample(90).octets);
    client.append("INBOX", &[], None, &sample(91).octets);
    let ran = desk.run("plan").ended(0);
    assert!(!ran.stdout.contains("Empty"), "{}", ran.stdout);
    ran.tells("i 1 message in Mine is not ours and is left alone\n")
        .tells("i 1 message in destination folders of the plan match");
}

#[test]
fn a_reader_that_goes_away_ends_the_output_quietly() {
    let desk = Desk::new();
    desk.run("plan -o a.plan").ended(0);
    for line in ["show a.plan --detail messages", "schema report", "plan", "--help"] {
        let mut command = Command::new(mailferry());
        command.current_dir(desk.job.folder()).args(line.split_whitespace());
        desk.job.equip(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), err.as_str()), (Some(0), ""), "{line}");
    }
}

#[test]
fn state_that_cannot_be_used_ends_before_anything_is_contacted() {
    let desk = Desk::new();
    desk.write("file", "");
    desk.run("plan --set state.dir=file").ended(1).tells("state cannot be read or written");
    desk.run("plan -o a.plan").ended(0);
    desk.run("apply a.plan --set state.dir=file/x").ended(1).tells("Nothing was changed.");
    assert_eq!(desk.stored(), 0);
}

#[test]
fn a_certificate_that_nobody_vouches_for_ends_with_9_and_an_unchecked_one_is_told() {
    let desk = Desk::new();
    let secure = Dovecot::start(DovecotOptions { tls: Tls::Implicit, ..DovecotOptions::slash() });
    secure.login("ann").append("INBOX", &[], None, &sample(1).octets);
    let port = secure.imaps_port.unwrap();
    let plan = format!(
        "plan --set source.host={} --set source.port={port} --set source.tls.mode=implicit",
        secure.host
    );
    desk.run(&plan).ended(9).tells("no trusted connection to the source");
    let told = "the certificate of the source is not checked";
    desk.run(&format!("{plan} --set source.tls.verify=false")).ended(0).tells(told);
    let ca = secure.ca_pem_path.as_ref().unwrap().display();
    let trusted = desk.run(&format!("{plan} --set source.tls.ca={ca}")).ended(0);
    assert!(!trusted.stdout.contains(told), "{}", trusted.stdout);
    trusted.tells(&format!("Source       ann at {}:{port}, opened read-only\n", secure.host));
}

/// A command on a terminal of its own, by util-linux's `script`.
struct Terminal {
    child: std::process::Child,
    seen: String,
}

impl Terminal {
    fn start(desk: &Desk, line: &str) -> Self {
        let program = mailferry();
        let mut command = Command::new("script");
        command.args(["-qec", &format!("{} {line}", program.display()), "/dev/null"]);
        command.current_dir(desk.job.folder()).env("TERM", "xterm").env("COLUMNS", "80");
        desk.job.equip(command.env_remove("NO_COLOR"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Self { child: command.spawn().unwrap(), seen: String::new() }
    }

    /// Reads until the program asks, and types the answer.
    fn answer(&mut self, question: &str, answer: &str) {
        let already = self.seen.len();
        let mut octet = [0];
        let out = self.child.stdout.as_mut().unwrap();
        let mut line = Vec::new();
        while !String::from_utf8_lossy(&line).contains(question) {
            assert_eq!(out.read(&mut octet).unwrap(), 1, "{question} was not asked: {}", self.seen);
            line.push(octet[0]);
            self.seen.truncate(already);
            self.seen.push_str(&String::from_utf8_lossy(&line));
        }
        // The question comes before the terminal stops to echo.
        thread::sleep(Duration::from_millis(300));
        let keys = self.child.stdin.as_mut().unwrap();
        keys.write_all(answer.as_bytes()).unwrap();
        keys.flush().unwrap();
    }

    fn ended(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut rest).unwrap();
        drop(self.child.stdin.take());
        (self.child.wait().unwrap().code(), self.seen + &rest)
    }
}

#[test]
fn a_plan_from_a_manifest_is_shown_and_only_yes_applies_it() {
    let desk = Desk::new();
    let mut terminal = Terminal::start(&desk, "apply");
    terminal.answer("Type yes: ", "y\n");
    let (code, seen) = terminal.ended();
    assert_eq!(code, Some(2), "{seen}");
    assert!(seen.contains("copy 4 messages") && seen.contains("Nothing was changed."), "{seen}");
    assert!(seen.contains("\u{1b}[32m+"), "a terminal gets colours: {seen}");
    assert!(!seen.contains("Nothing was saved"), "{seen}");
    assert_eq!(desk.stored(), 0);
    let mut terminal = Terminal::start(&desk, "apply");
    terminal.answer("Type yes: ", "yes\n");
    let (code, seen) = terminal.ended();
    assert_eq!(code, Some(0), "{seen}");
    assert_eq!(desk.stored(), 4);
    desk.run("apply --yes").ended(0).tells("Nothing to do:");
}

#[test]
fn a_password_is_asked_for_on_a_terminal_and_not_shown() {
    let desk = Desk::new();
    desk.write("asked.toml", &desk.manifest().replace("password =", "#"));
    let mut terminal = Terminal::start(&desk, "plan asked.toml");
    terminal.answer("Password for ann on ", "pass\n");
    terminal.answer("Password for ann on ", "pass\n");
    let (code, seen) = terminal.ended();
    assert_eq!(code, Some(0), "{seen}");
    assert!(seen.contains("copy 4 messages") && !seen.contains("pass\r"), "{seen}");
    let mut terminal = Terminal::start(&desk, "plan asked.toml");
    terminal.answer("Password for ann on ", "\u{3}");
    let (code, seen) = terminal.ended();
    assert_eq!(code, Some(130), "{seen}");
}
