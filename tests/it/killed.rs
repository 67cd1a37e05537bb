//! The gateway is killed between any two steps in the life of a request for approval, and started again. What the
//! requester reads, what those who decide are shown and what the timeline says must agree, and what was asked for has
//! run once at most.
//!
//! The steps are not hooks in the product: they are its own writes. `strace` delivers SIGKILL as the store enters the
//! n-th sync of its file (what was to be saved is saved, nothing behind it has happened) or the first write (nothing is).
//! What happens at the database is stopped by whoever stands between it and the gateway, or by a lock.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::approvals::{Bench, HELD};
use crate::support::middle::Middle;
use crate::support::{Connected, Ran, Sandbox, collect, postgres, tool};

/// How long something may take to show on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Behind what is tried, the gateway writes nothing more when it has written nothing for this long.
const QUIET: Duration = Duration::from_secs(6);

/// More steps than anything has.
const STEPS_MAX: u32 = 40;

/// Where the gateway is killed.
#[derive(Clone, Copy)]
enum Stop {
    /// Before the store has anything of what comes next.
    Before,
    /// The n-th change from now on is in the store, and nothing behind it has happened.
    Behind(u32),
}

/// A production database with somebody in between, and everybody at a machine of their own.
struct Stage {
    bench: Bench,
    middle: Middle,
    bob: Sandbox,
    carol: Sandbox,
    address: String,
    connected: Option<Connected>,
    rows: u32,
}

/// Somebody's terminal, if anybody sits there.
type Terminal = Option<Child>;

impl Stage {
    fn new(more: &str) -> Self {
        let middle = Middle::before(postgres::server().port);
        let bench = Bench::behind(middle.port, more, "operators: [approver]\n");
        let mut stage = Self::of(bench, middle);
        stage.connected = Some(stage.bench.alice.connect(&["prod-db", "--write"]).unwrap());
        stage
    }

    /// Where access itself has to be asked for.
    fn of_access() -> Self {
        let middle = Middle::before(postgres::server().port);
        let bench = Bench::asking(middle.port, "operators: [approver]\n");
        Self::of(bench, middle)
    }

    fn of(bench: Bench, middle: Middle) -> Self {
        let address = bench.sandbox.url().trim_start_matches("https://").to_owned();
        let (bob, carol) = (Sandbox::new(), Sandbox::new());
        bench.alice.log_in_at(&bench.sandbox, "alice");
        bob.log_in_at(&bench.sandbox, "bob");
        carol.log_in_at(&bench.sandbox, "carol");
        println!("\n| killed at | requester sees | approver sees | timeline says | executed |\n|---|---|---|---|---|");
        Self { bench, middle, bob, carol, address, connected: None, rows: 0 }
    }

    /// The requester's terminal: psql, connected, with nothing typed yet.
    fn psql(&self, options: &str) -> Child {
        let connected = self.connected.as_ref().unwrap();
        let mut psql = Command::new(tool("psql", "postgresql-client"));
        let (folder, port) = (connected.socket.parent().unwrap(), connected.socket.extension().unwrap());
        psql.env_clear().env("PGOPTIONS", options).args(["-X", "-A", "-t", "-h"]).arg(folder).arg("-p").arg(port);
        psql.args(["-U", &connected.user, "-d", &connected.database]);
        let mut psql = psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        psql.stdin.as_mut().unwrap().write_all(b"select 'connected';\n").unwrap();
        let mut said = [0; 10];
        psql.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
        assert_eq!(&said, b"connected\n");
        psql
    }

    /// Types the statement that is held.
    fn types(psql: &mut Child) {
        let mut input = psql.stdin.take().unwrap();
        // It may be dead already, of a gateway that is.
        drop(input.write_all(format!("{HELD};\n").as_bytes()));
    }

    /// The terminal in which the statement waits, and what it waits for.
    fn waits(&self) -> (Terminal, String) {
        let mut psql = self.psql("");
        Self::types(&mut psql);
        (Some(psql), self.in_state("pending"))
    }

    /// What is asked for without waiting.
    fn asks_for_later(&self) -> (Terminal, String) {
        let mut psql = self.psql("-c gov.wait=off");
        Self::types(&mut psql);
        drop(collect(psql));
        (None, self.in_state("pending"))
    }

    /// All requests, the newest first.
    fn list(&self) -> Vec<serde_json::Value> {
        let list = self.bob.gov(["approval", "ls", "--all", "--json"]).ok().json();
        list["approvals"].as_array().unwrap().clone()
    }

    fn newest(&self) -> Option<String> {
        self.list().first().map(|newest| newest["approval"].as_str().unwrap().to_owned())
    }

    /// The newest request, once it is in this state.
    fn in_state(&self, state: &str) -> String {
        let begun = Instant::now();
        loop {
            let list = self.list();
            if let Some(newest) = list.first().filter(|newest| newest["state"] == state) {
                return newest["approval"].as_str().unwrap().to_owned();
            }
            assert!(begun.elapsed() < PATIENCE, "nothing is {state}: {list:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Sets the trap; who runs into it is killed.
    fn trap(&self, stop: Stop) -> Child {
        let (call, number) = match stop {
            Stop::Before => ("pwrite64", 1),
            Stop::Behind(number) => ("fsync,fdatasync", number),
        };
        let wal = self.bench.sandbox.home.join("data/gov.db-wal").canonicalize().unwrap();
        let mut strace = Command::new(tool("strace", "strace"));
        strace.args(["-f", "-o", "/dev/null", "-p", &self.bench.sandbox.server_pid().to_string(), "-P"]).arg(wal);
        strace.arg(format!("--trace={call}")).arg(format!("--inject={call}:signal=KILL:when={number}"));
        let mut strace = strace.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(strace.stderr.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        assert!(line.contains("attached"), "this test must be allowed to trace its own processes: {line}");
        // It goes on talking of threads.
        std::thread::spawn(move || drop(said.read_to_string(&mut line)));
        // Threads stop one after the other, and go on watched.
        std::thread::sleep(Duration::from_millis(300));
        strace
    }

    /// Starts the gateway again, as whoever looks after it would.
    fn again(&mut self) {
        self.middle.stops();
        let config = self.bench.sandbox.home.join("gov.yaml");
        self.bench.sandbox.start_server_at(&self.address, &["--dev", "--config", config.to_str().unwrap()]);
    }

    /// Kills the gateway at each step of something, as often as it has steps, and judges what is left each time.
    /// `begin` comes before, `act` is what is cut short.
    fn sweep(
        &mut self,
        what: &str,
        begin: impl Fn(&Self) -> (Terminal, String),
        act: impl Fn(&Self, &str, &mut Terminal),
    ) {
        let mut stops = 0;
        loop {
            self.clear();
            let before = self.newest();
            let (mut terminal, id) = begin(self);
            let stop = if stops == 0 { Stop::Before } else { Stop::Behind(stops) };
            let mut trap = self.trap(stop);
            act(self, &id, &mut terminal);
            if !self.bench.sandbox.server_dies_within(QUIET) {
                kill_process(Pid::from_child(&trap), Signal::TERM).unwrap();
                trap.wait().unwrap();
                drop(terminal.map(|mut terminal| terminal.kill().and_then(|()| terminal.wait().map(drop))));
                break;
            }
            trap.wait().unwrap();
            let requester = terminal.map(collect);
            self.again();
            let when = match stop {
                Stop::Before => format!("{what}: before anything is stored"),
                Stop::Behind(number) => format!("{what}: behind change {number} of the store"),
            };
            self.judge(&when, before.as_deref(), requester.as_ref());
            stops += 1;
            assert!(stops < STEPS_MAX, "{what} has no end");
        }
        assert!(stops > 1, "{what} was never cut short");
    }

    /// Nothing is open, and nothing has run.
    fn clear(&self) {
        for open in self.list().iter().filter(|open| matches!(open["state"].as_str(), Some("pending" | "approved"))) {
            self.bob.gov(["approval", "deny", open["approval"].as_str().unwrap()]).ok();
        }
        let undo = "SET client_min_messages = error; ALTER TABLE orders DROP COLUMN IF EXISTS note";
        postgres::server().run(&self.bench.database.name, undo);
    }

    /// Prints the line of the table; fails where the three accounts of what happened differ, or are none.
    fn judge(&mut self, step: &str, before: Option<&str>, requester: Option<&Ran>) {
        self.rows += 1;
        let ran = u32::from(self.bench.has_column());
        let undo = "SET client_min_messages = error; ALTER TABLE orders DROP COLUMN IF EXISTS note";
        postgres::server().run(&self.bench.database.name, undo);
        let told = requester.map_or_else(|| "-".to_owned(), told);
        let newest = self.newest().filter(|newest| Some(newest.as_str()) != before);
        let Some(id) = newest else {
            println!("| {step} | {told} | nothing was asked | nothing was asked | {ran} |");
            assert_eq!(ran, 0, "{step}: nobody was asked, and it ran");
            return;
        };
        let begun = Instant::now();
        let (shown, story) = loop {
            let shown = self.bob.gov(["approval", "show", &id, "--json"]).ok().json();
            let story = self.story(&id);
            let last = story.last().map(|(state, _)| state.clone());
            if shown["state"] != "executing" && last.as_deref() == shown["state"].as_str() {
                break (shown, story);
            }
            assert!(begun.elapsed() < PATIENCE, "{step}: {shown} and the timeline says {story:?}");
            std::thread::sleep(Duration::from_millis(100));
        };
        let state = shown["state"].as_str().unwrap();
        let said: Vec<_> = shown["remarks"].as_array().unwrap().iter().map(|said| said.as_str().unwrap()).collect();
        let states: Vec<_> = story.iter().map(|(state, who)| format!("{state} ({who})")).collect();
        println!("| {step} | {told} | {state}: {} | {} | {ran} |", said.join("; "), states.join(", "));

        // It ran when it is said to have run, and not otherwise.
        match state {
            "executed" => assert_eq!(ran, 1, "{step}"),
            "unknown" => {}
            _ => assert_eq!(ran, 0, "{step}: it is {state} and ran"),
        }
        // Each move is on record, once, by whom it was made.
        let mut from = "";
        for (index, (to, who)) in story.iter().enumerate() {
            assert!(follows(from, to), "{step}: from {from:?} to {to}: {story:?}");
            assert!(!story[..index].contains(&(to.clone(), who.clone())), "{step}: twice: {story:?}");
            from = to;
        }
        for said in &said {
            let Some((name, _)) = said.split_once(" agreed") else { continue };
            let agreed = |(_, who): &(String, String)| who == name;
            assert!(story.iter().any(agreed), "{step}: {name} agreed, and that is not on record: {story:?}");
        }
        // Whoever saw that it waits reads where to look.
        if let Some(requester) = requester.filter(|requester| requester.stderr.contains("this waits for approval")) {
            let answered = requester.stderr.contains("approval was denied")
                || requester.stderr.contains("canceling statement")
                || requester.stderr.contains("in time")
                || requester.stdout.contains("ALTER TABLE");
            let looks = requester.stderr.contains(&format!("gov approval show {id}"));
            assert!(answered || looks, "{step}: {requester:?}");
            assert!(!requester.stderr.contains("docs.rs"), "{step}: {requester:?}");
        }
        // What was used, or is over, is not to be had again.
        if !matches!(state, "pending" | "approved") && self.connected.is_some() {
            let mut psql = self.psql(&format!("-c gov.approval={id}"));
            Self::types(&mut psql);
            let again = collect(psql);
            assert!(
                again.stderr.contains("ERROR:  approval ") || again.stderr.contains("there is no approval"),
                "{again:?}"
            );
            assert!(!self.bench.has_column(), "{step}: it ran again");
        }
    }

    /// What the timeline says of a request: its states, and by whom.
    fn story(&self, id: &str) -> Vec<(String, String)> {
        let lines = self.bob.gov(["timeline", "--approval", id, "--json"]).ok().stdout;
        let entries = lines.lines().filter(|line| !line.is_empty());
        let mut entries: Vec<serde_json::Value> = entries.map(|line| serde_json::from_str(line).unwrap()).collect();
        entries.retain(|entry| entry["kind"] == "approval");
        entries.sort_by_key(|entry| entry["id"].as_i64().unwrap());
        let text = |entry: &serde_json::Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        entries.iter().map(|entry| (text(entry, "why"), text(entry, "who"))).collect()
    }

    /// At the end the whole log holds.
    fn verified(mut self) {
        self.connected = None;
        let report = self.bob.gov(["audit", "verify", "--json"]).ok().json();
        assert_eq!(report["sound"], true, "{report:#}");
        println!("\n{} rows; the log is sound", self.rows);
    }
}

/// What the requester reads last, in a line.
fn told(requester: &Ran) -> String {
    let mut said = requester.stderr.lines().chain(requester.stdout.lines());
    let tells = |line: &str| ["ERROR:", "FATAL:", "error:", "ALTER TABLE"].iter().any(|word| line.contains(word));
    said.rfind(|line| tells(line)).unwrap_or("nothing").trim().to_owned()
}

/// Whether a request may come from one state to the other.
fn follows(from: &str, to: &str) -> bool {
    let next: &[&str] = match from {
        "" => &["pending", "approved"],
        "pending" => &["pending", "approved", "denied", "expired", "withdrawn"],
        "approved" => &["executing", "revoked", "lapsed", "withdrawn"],
        "executing" => &["executed", "failed", "unknown", "stale"],
        "lapsed" | "revoked" => &["reviewed"],
        _ => &[],
    };
    next.contains(&to)
}

#[test]
fn a_statement_that_waits_is_killed_at_every_step() {
    let mut stage = Stage::new("");
    stage.sweep(
        "asked",
        |stage| (Some(stage.psql("")), String::new()),
        |_, _, psql| Stage::types(psql.as_mut().unwrap()),
    );
    stage.sweep("approved", Stage::waits, |stage, id, _| drop(stage.bob.gov(["approval", "approve", id])));
    stage.sweep("denied", Stage::waits, |stage, id, _| drop(stage.bob.gov(["approval", "deny", id])));
    stage.sweep("withdrawn", Stage::waits, |_, _, psql| {
        kill_process(Pid::from_child(psql.as_ref().unwrap()), Signal::INT).unwrap();
    });
    stage.verified();
}

#[test]
fn a_statement_for_later_is_killed_at_every_step() {
    let mut stage = Stage::new(", quorum: 2");
    let asks = |stage: &Stage| (Some(stage.psql("-c gov.wait=off")), String::new());
    stage.sweep("asked for later", asks, |_, _, psql| Stage::types(psql.as_mut().unwrap()));
    stage.sweep("the first agrees", Stage::asks_for_later, |stage, id, _| {
        drop(stage.bob.gov(["approval", "approve", id]))
    });
    let agreed = |stage: &Stage| {
        let (terminal, id) = stage.asks_for_later();
        stage.bob.gov(["approval", "approve", &id]).ok();
        (terminal, id)
    };
    stage.sweep("the second agrees", agreed, |stage, id, _| drop(stage.carol.gov(["approval", "approve", id])));
    let approved = |stage: &Stage| {
        let (_, id) = agreed(stage);
        stage.carol.gov(["approval", "approve", &id]).ok();
        (Some(stage.psql(&format!("-c gov.approval={id}"))), id)
    };
    stage.sweep("used", approved, |_, _, psql| Stage::types(psql.as_mut().unwrap()));
    let told = stage.bob.gov(["timeline"]).ok().stdout;
    for words in ["is pending, by alice", "is pending, by bob", "is approved, by carol"] {
        assert!(told.contains(words), "{words}: {told}");
    }
    stage.verified();
}

#[test]
fn access_is_killed_at_every_step() {
    let mut stage = Stage::of_access();
    let request = ["request", "prod-db", "--write", "--ttl", "30m", "--reason", "backfill"];
    let asked = |stage: &Stage| {
        let asked = stage.bench.alice.gov(request).ok();
        (None, asked.stdout.trim().to_owned())
    };
    let nobody = |_: &Stage| (None, String::new());
    stage.sweep("access asked for", nobody, |stage, _, terminal| {
        let mut command = stage.bench.alice.command(request);
        *terminal = Some(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    });
    stage.sweep("access approved", asked, |stage, id, _| drop(stage.bob.gov(["approval", "approve", id])));
    stage.sweep(
        "access taken back",
        |stage| {
            let (terminal, id) = asked(stage);
            stage.bob.gov(["approval", "approve", &id]).ok();
            (terminal, id)
        },
        |stage, id, _| drop(stage.bob.gov(["approval", "deny", id])),
    );
    stage.verified();
}

#[test]
fn access_that_was_taken_is_killed_at_every_step() {
    let mut stage = Stage::of_access();
    let take = ["request", "prod-db", "--write", "--break-glass", "--reason", "checkout is down"];
    let nobody = |_: &Stage| (None, String::new());
    stage.sweep("taken in an emergency", nobody, |stage, _, terminal| {
        let mut command = stage.bench.alice.command(take);
        *terminal = Some(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    });
    let over = |stage: &Stage| {
        let id = stage.bench.alice.gov(take).ok().stdout.trim().to_owned();
        stage.bob.gov(["approval", "deny", &id]);
        (None, id)
    };
    stage.sweep("reviewed", over, |stage, id, _| drop(stage.bob.gov(["approval", "review", id])));
    stage.verified();
}

/// Nobody's answer is an end as well.
#[test]
fn a_statement_that_nobody_answers_is_killed_at_every_step() {
    let mut stage = Stage::new(", wait: 4s");
    stage.sweep("expired", Stage::waits, |_, _, _| ());
    stage.verified();
}

/// From the yes to the end, at the database.
#[test]
fn a_statement_that_runs_is_killed_at_every_step() {
    let mut stage = Stage::new("");
    let approved = |stage: &mut Stage| {
        let (terminal, id) = stage.waits();
        stage.bob.gov(["approval", "approve", &id]).ok();
        (terminal.unwrap(), id)
    };
    let cut = |stage: &mut Stage, step: &str, psql: Child| {
        stage.bench.sandbox.kill_server();
        let requester = collect(psql);
        stage.again();
        stage.judge(step, None, Some(&requester));
    };
    // On its way: what was sent has not arrived.
    let (terminal, id) = stage.waits();
    let lost = |_: usize, said: &[u8]| said.windows(11).any(|words| words == b"alter table").then(Vec::new);
    stage.middle.plays(Box::new(lost));
    stage.bob.gov(["approval", "approve", &id]).ok();
    stage.heard(b"alter table");
    cut(&mut stage, "sent, and the database has not got it", terminal.unwrap());

    // It has been committed, and nobody here has heard of it.
    let (terminal, id) = stage.waits();
    stage.middle.silences_behind(b"COMMIT");
    stage.bob.gov(["approval", "approve", &id]).ok();
    let begun = Instant::now();
    while !(stage.middle.is_silent() && stage.bench.has_column()) {
        assert!(begun.elapsed() < PATIENCE, "it does not come to its end");
        std::thread::sleep(Duration::from_millis(20));
    }
    cut(&mut stage, "committed, and the gateway has not heard of it", terminal.unwrap());

    // It runs: the table is locked by somebody else.
    let lock = stage.lock();
    let (psql, _) = approved(&mut stage);
    stage.in_state("executing");
    stage.bench.sandbox.kill_server();
    drop(lock);
    let requester = collect(psql);
    stage.again();
    stage.judge("it runs", None, Some(&requester));

    // It has come to its end, which is to be noted.
    for stop in [Stop::Before, Stop::Behind(1), Stop::Behind(2), Stop::Behind(3)] {
        stage.clear();
        let lock = stage.lock();
        let (psql, _) = approved(&mut stage);
        stage.in_state("executing");
        let mut trap = stage.trap(stop);
        drop(lock);
        assert!(stage.bench.sandbox.server_dies_within(PATIENCE));
        trap.wait().unwrap();
        let requester = collect(psql);
        stage.again();
        let step = match stop {
            Stop::Before => "it has run, and its end is not stored".to_owned(),
            Stop::Behind(number) => format!("it has run: behind change {number} of the store"),
        };
        stage.judge(&step, None, Some(&requester));
    }
    stage.verified();
}

/// Somebody else has the table. Not any more when this is gone.
struct Lock(Child);

impl Drop for Lock {
    fn drop(&mut self) {
        // Its input closes: psql ends.
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

impl Stage {
    fn lock(&self) -> Lock {
        let mut psql = postgres::server().psql(&self.bench.database.name);
        let mut psql = psql.args(["-A", "-t"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        psql.stdin.as_mut().unwrap().write_all(b"begin; lock table orders; select 'locked';\n").unwrap();
        let mut said = String::new();
        let mut lines = BufReader::new(psql.stdout.as_mut().unwrap());
        while !said.contains("locked") {
            assert!(lines.read_line(&mut said).unwrap() > 0, "{said}");
        }
        Lock(psql)
    }

    /// Waits until the gateway has said these words to the database.
    fn heard(&self, words: &[u8]) {
        let begun = Instant::now();
        while !self.middle.has_heard(words) {
            assert!(begun.elapsed() < PATIENCE, "nothing was sent");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
