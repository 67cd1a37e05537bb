//! The journal: what survives crashes, full disks and bad luck.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::runtime::{clock, env};

/// A folder in memory whose operations can be made to fail, whose disk can be full, and which can lose its power.
#[derive(Clone, Debug, Default)]
struct Memory(Arc<Mutex<Disk>>);

#[derive(Debug, Default)]
struct Disk {
    names: BTreeMap<String, Contents>,
    durable_names: BTreeMap<String, Contents>,
    calls: BTreeMap<Op, usize>,
    fault: Option<Fault>,
    /// Bytes all files together may have.
    capacity: Option<u64>,
}

type Contents = Arc<Mutex<Bytes>>;

#[derive(Debug, Default)]
struct Bytes {
    now: Vec<u8>,
    durable: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Op {
    Create,
    Rename,
    Remove,
    SyncFolder,
    Write,
    Sync,
}

const OPS: [Op; 6] = [Op::Create, Op::Rename, Op::Remove, Op::SyncFolder, Op::Write, Op::Sync];

/// Calls number `from` to `to` of an operation report failure, after doing their work or without.
#[derive(Clone, Copy, Debug)]
struct Fault {
    op: Op,
    from: usize,
    to: usize,
    stored: bool,
}

impl Memory {
    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap()
    }

    /// Counts a call; says whether its work is to be done and what it reports.
    fn call(&self, op: Op) -> (bool, io::Result<()>) {
        let mut disk = self.disk();
        let count = disk.calls.entry(op).or_default();
        *count += 1;
        let count = *count;
        match disk.fault {
            Some(fault) if fault.op == op && (fault.from..=fault.to).contains(&count) => {
                (fault.stored, Err(io::Error::other("injected fault")))
            }
            _ => (true, Ok(())),
        }
    }

    /// What is left when the power goes: each sector that was not synced is the old or the new one.
    fn power_loss(&self, random: &mut Random) -> Self {
        let disk = self.disk();
        let mut names = BTreeMap::new();
        for (name, contents) in &disk.durable_names {
            let contents = contents.lock().unwrap();
            let mut bytes = contents.now.clone();
            for (index, sector) in bytes.chunks_mut(512).enumerate() {
                let old = contents.durable.get(index * 512..).unwrap_or_default();
                if random.below(2) == 0 {
                    sector.iter_mut().zip(old.iter().chain(std::iter::repeat(&0))).for_each(|(b, old)| *b = *old);
                }
            }
            names.insert(name.clone(), Arc::new(Mutex::new(Bytes { now: bytes.clone(), durable: bytes })));
        }
        Self(Arc::new(Mutex::new(Disk { durable_names: names.clone(), names, ..Disk::default() })))
    }

    /// What is left when only the process dies.
    fn killed(&self) -> Self {
        let disk = self.disk();
        let copy = |contents: &Contents| {
            let now = contents.lock().unwrap().now.clone();
            Arc::new(Mutex::new(Bytes { durable: now.clone(), now }))
        };
        let names: BTreeMap<_, _> = disk.names.iter().map(|(name, contents)| (name.clone(), copy(contents))).collect();
        Self(Arc::new(Mutex::new(Disk { durable_names: names.clone(), names, ..Disk::default() })))
    }

    fn open(&self, settings: Settings) -> (Journal, Opened) {
        Journal::open_in(Box::new(self.clone()), settings, "memory".to_owned()).unwrap()
    }
}

impl Folder for Memory {
    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.disk().names.keys().cloned().collect())
    }

    fn create(&self, name: &str, length: u64) -> io::Result<Box<dyn Slot>> {
        let (work, result) = self.call(Op::Create);
        let mut disk = self.disk();
        let used: usize = disk.names.values().map(|contents| contents.lock().unwrap().now.len()).sum();
        if disk.capacity.is_some_and(|capacity| used as u64 + length > capacity) {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        let contents = Contents::default();
        if work {
            let zeros = vec![0; place(length)];
            *contents.lock().unwrap() = Bytes { now: zeros.clone(), durable: zeros };
            disk.names.insert(name.to_owned(), Arc::clone(&contents));
        }
        result.map(|()| Box::new(MemorySlot(self.clone(), contents)) as Box<dyn Slot>)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Slot>> {
        let contents = self.disk().names.get(name).cloned().ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(MemorySlot(self.clone(), contents)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (work, result) = self.call(Op::Rename);
        if work {
            let mut disk = self.disk();
            let contents = disk.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
            disk.names.insert(to.to_owned(), contents);
        }
        result
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let (work, result) = self.call(Op::Remove);
        if work {
            self.disk().names.remove(name);
        }
        result
    }

    fn sync(&self) -> io::Result<()> {
        let (work, result) = self.call(Op::SyncFolder);
        if work {
            let mut disk = self.disk();
            disk.durable_names = disk.names.clone();
        }
        result
    }
}

#[derive(Debug)]
struct MemorySlot(Memory, Contents);

impl Slot for MemorySlot {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let (work, result) = self.0.call(Op::Write);
        if work {
            let mut contents = self.1.lock().unwrap();
            let there = contents.now.get_mut(place(offset)..place(offset) + bytes.len());
            there.expect("within the length set aside").copy_from_slice(bytes);
        }
        result
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let contents = self.1.lock().unwrap();
        let there = contents.now.get(place(offset)..).unwrap_or_default();
        let count = there.len().min(buffer.len());
        buffer[..count].copy_from_slice(&there[..count]);
        Ok(count)
    }

    fn sync(&self) -> io::Result<()> {
        let (work, result) = self.0.call(Op::Sync);
        if work {
            let mut contents = self.1.lock().unwrap();
            contents.durable = contents.now.clone();
        }
        result
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.1.lock().unwrap().now.len() as u64)
    }
}

/// A number as a place in a file.
fn place(number: u64) -> usize {
    usize::try_from(number).unwrap()
}

/// xorshift64*; the seed is printed by whoever fails.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % limit
    }
}

const SMALL: Settings = Settings { segment_bytes: 8 * 1024, reserve: 2, bytes_max: 1024 * 1024, filled: false };

/// A body that says its own number, of a length that varies.
fn body(number: u64) -> Vec<u8> {
    let length = place(number * 37 % 300);
    format!("{number} {}", "x".repeat(length)).into_bytes()
}

fn append(journal: &Journal, importance: Importance, number: u64) -> Result<Ticket, Failure> {
    let bytes = body(number);
    let (head, tail) = bytes.split_at(1);
    journal.append(importance, 1, &[head, tail])
}

/// Everything readable, as number and body.
fn contents(journal: &Journal) -> (BTreeMap<u64, Vec<u8>>, Vec<Piece>) {
    let mut cursor = Cursor::new(journal, journal.first());
    let (mut frames, mut missing) = (BTreeMap::new(), Vec::new());
    loop {
        let pieces = cursor.read().unwrap();
        if pieces.is_empty() {
            return (frames, missing);
        }
        for piece in pieces {
            match piece {
                Piece::Frame { number, body, .. } => assert_eq!(frames.insert(number, body), None),
                Piece::Missing { .. } => missing.push(piece),
            }
        }
    }
}

fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("gov-journal-{}-{name}", std::process::id()));
    drop(std::fs::remove_dir_all(&path));
    path
}

#[test]
fn what_is_appended_is_read_again_by_this_and_the_next_process() {
    let path = folder("round-trip");
    let mut next = 1;
    for _ in 0..4 {
        let (journal, opened) = Journal::open(&path, SMALL).unwrap().unwrap();
        assert_eq!(opened, Opened { last: next - 1, torn: 0 });
        assert!(Journal::open(&path, SMALL).unwrap().is_none(), "one writer at a time");
        for number in next..next + 100 {
            assert_eq!(append(&journal, Importance::Ordinary, number).unwrap().number(), number);
        }
        next += 100;
        journal.wait_durable(Ticket(next - 1)).unwrap();
        assert!(journal.is_durable(Ticket(next - 1)) && !journal.is_durable(Ticket(next)));
        let (frames, missing) = contents(&journal);
        assert_eq!((frames.len() as u64, missing.len()), (next - 1, 0));
        assert!(frames.iter().all(|(number, found)| *found == body(*number)));
    }
}

#[test]
fn segments_are_freed_from_the_oldest_and_numbers_go_on() {
    let memory = Memory::default();
    let (journal, _) = memory.open(SMALL);
    for number in 1..=300 {
        append(&journal, Importance::Ordinary, number).unwrap();
    }
    journal.wait_durable(Ticket(300)).unwrap();
    journal.free(150).unwrap();
    let first = journal.first();
    assert!((100..=151).contains(&first), "{first}");
    let (frames, missing) = contents(&journal);
    assert_eq!((frames.keys().copied().collect::<Vec<_>>(), missing), ((first..=300).collect(), vec![]));
    assert_eq!(
        Cursor::new(&journal, 1).read().unwrap().first(),
        Some(&Piece::Missing { from: 1, to: first - 1, acknowledged: true })
    );
    journal.free(300).unwrap();
    drop(journal);
    let (journal, opened) = memory.open(SMALL);
    assert_eq!(opened.last, 300);
    drop(journal);
}

#[test]
fn a_tail_torn_at_any_byte_loses_only_what_was_torn() {
    let memory = Memory::default();
    let (journal, _) = memory.open(SMALL);
    for number in 1..=10 {
        append(&journal, Importance::Ordinary, number).unwrap();
    }
    drop(journal);
    let end = memory.disk().names[&name(1)].lock().unwrap().now.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let (mut attempts, mut lost) = (0, 0);
    for cut in 0..=end {
        attempts += 1;
        let torn = memory.killed();
        torn.disk().names[&name(1)].lock().unwrap().now[cut..].fill(0);
        let (journal, opened) = torn.open(SMALL);
        let whole = opened.last;
        let (frames, missing) = contents(&journal);
        assert!(missing.is_empty() && frames.len() as u64 == whole, "cut at {cut}");
        assert!(frames.iter().all(|(number, found)| *found == body(*number)));
        let offset: usize = (1..=whole).map(|number| body(number).len() + frame::HEAD).sum();
        let next = offset + body(whole + 1).len() + frame::HEAD;
        lost += usize::from(cut < offset || (cut >= next && whole < 10));
        // The journal goes on, and the next process reads what it wrote behind.
        append(&journal, Importance::Ordinary, whole + 1).unwrap();
        drop(journal);
        let (journal, again) = torn.open(SMALL);
        assert_eq!((again.last, contents(&journal).0.len() as u64), (whole + 1, whole + 1), "cut at {cut}");
    }
    println!("torn tails: {attempts} attempts, {} survived, {lost} lost", attempts - lost);
    assert_eq!(lost, 0);
}

#[test]
fn every_changed_bit_is_noticed() {
    let memory = Memory::default();
    let (journal, _) = memory.open(SMALL);
    for number in 1..=100 {
        append(&journal, Importance::Ordinary, number).unwrap();
    }
    drop(journal);
    let mut random = Random(7);
    let (mut attempts, mut detected) = (0, 0);
    let files: Vec<String> = memory.disk().names.keys().filter(|name| first_of(name).is_some()).cloned().collect();
    while attempts < 1000 {
        let changed = memory.killed();
        let file = &files[place(random.below(files.len() as u64))];
        {
            let disk = changed.disk();
            let mut contents = disk.names[file].lock().unwrap();
            let at = place(random.below(contents.now.len() as u64));
            if contents.now[at] == 0 && contents.now[at..].iter().take(300).all(|byte| *byte == 0) {
                continue;
            }
            contents.now[at] ^= 1 << random.below(8);
        }
        attempts += 1;
        let (journal, opened) = changed.open(SMALL);
        let (frames, missing) = contents(&journal);
        assert!(frames.iter().all(|(number, found)| *found == body(*number)), "a changed frame was believed");
        detected += usize::from(!missing.is_empty() || opened.torn > 0);
    }
    println!("changed bits: {attempts} attempts, {detected} detected");
    assert_eq!(detected, attempts);
}

#[test]
fn a_hole_in_the_middle_costs_what_is_in_it_and_says_whether_that_was_acknowledged() {
    let memory = Memory::default();
    let (journal, _) = memory.open(SMALL);
    let begin = |number: u64| (1..number).map(|n| body(n).len() + frame::HEAD).sum::<usize>();
    for number in 1..=10 {
        let ticket = append(&journal, Importance::Ordinary, number).unwrap();
        if number == 5 {
            journal.wait_durable(ticket).unwrap();
        }
    }
    for (hole, acknowledged) in [(3, true), (7, false)] {
        let damaged = memory.killed();
        damaged.disk().names[&name(1)].lock().unwrap().now[begin(hole)..begin(hole + 1)].fill(0);
        let (journal, opened) = damaged.open(SMALL);
        assert_eq!(opened.last, 10);
        let (frames, missing) = contents(&journal);
        assert_eq!((frames.len(), missing), (9, vec![Piece::Missing { from: hole, to: hole, acknowledged }]));
    }
}

/// What must hold whatever fails: what was acknowledged as written is there after a kill, what was acknowledged as
/// durable is there after a loss of power, and nothing is there that was not asked for.
fn hold(memory: &Memory, written: &[Ticket], durable: &[Ticket], seed: u64, what: &str) -> usize {
    let bodies = |disk: Memory| {
        let (journal, _) = disk.open(SMALL);
        contents(&journal).0
    };
    let after_kill = bodies(memory.killed());
    let after_power_loss = bodies(memory.power_loss(&mut Random(seed)));
    let lost = |found: &BTreeMap<u64, Vec<u8>>, tickets: &[Ticket]| {
        tickets.iter().filter(|ticket| found.get(&ticket.0) != Some(&body(ticket.0))).count()
    };
    let lost = lost(&after_kill, written) + lost(&after_power_loss, durable);
    assert_eq!(lost, 0, "{what}");
    lost
}

#[test]
fn every_operation_failing_at_its_first_calls_loses_nothing() {
    let (mut attempts, mut refused) = (0, 0);
    for op in OPS {
        for from in 1..=6 {
            for (stored, length) in [(false, 0), (true, 0), (false, 3), (true, 3)] {
                let memory = Memory::default();
                let fault = Fault { op, from, to: from + length, stored };
                // Opening a folder that does not work is refused as a whole; what is tested here comes after.
                let (journal, _) = memory.open(SMALL);
                let base = memory.disk().calls.get(&op).copied().unwrap_or(0);
                memory.disk().fault = Some(Fault { from: fault.from + base, to: fault.to + base, ..fault });
                let (mut written, mut durable) = (Vec::new(), Vec::new());
                let mut number = 1;
                for round in 0..60 {
                    attempts += 1;
                    match append(&journal, Importance::Ordinary, number) {
                        Ok(ticket) => {
                            assert_eq!(ticket.number(), number);
                            written.push(ticket);
                            number += 1;
                            if round % 4 == 3 && journal.wait_durable(ticket).is_ok() {
                                durable.push(ticket);
                            }
                        }
                        Err(_) => {
                            refused += 1;
                            std::thread::yield_now();
                        }
                    }
                }
                hold(&memory, &written, &durable, from as u64 + 1, &format!("{fault:?}"));
                memory.disk().fault = None;
                let healed = clock::monotonic();
                while append(&journal, Importance::Ordinary, number).is_err() {
                    assert!(healed.elapsed() < Duration::from_secs(2), "{fault:?} does not heal");
                    std::thread::yield_now();
                }
                written.push(Ticket(number));
                journal.wait_durable(Ticket(number)).unwrap();
                hold(&memory, &written, &[Ticket(number)], from as u64, &format!("{fault:?}, healed"));
            }
        }
    }
    println!("failing operations: {attempts} appends, {refused} refused, 0 acknowledged and lost");
}

#[test]
fn a_loss_of_power_at_any_moment_loses_nothing_durable() {
    let (mut attempts, mut kept) = (0, 0);
    for seed in 1..=60 {
        let mut random = Random(seed);
        let memory = Memory::default();
        let (journal, _) = memory.open(SMALL);
        let (mut written, mut durable) = (Vec::new(), Vec::new());
        for number in 1..=20 + random.below(150) {
            let ticket = append(&journal, Importance::Ordinary, number).unwrap();
            written.push(ticket);
            if random.below(20) == 0 {
                journal.wait_durable(ticket).unwrap();
                durable.clone_from(&written);
            }
        }
        attempts += 1;
        hold(&memory, &written, &durable, seed, &format!("seed {seed}"));
        kept += durable.len();
    }
    println!("losses of power: {attempts} attempts, {kept} durable frames, 0 lost");
}

#[test]
fn a_full_disk_refuses_what_begins_records_what_ends_and_heals() {
    let memory = Memory::default();
    memory.disk().capacity = Some(5 * SMALL.segment_bytes);
    let (journal, _) = memory.open(SMALL);
    let (mut number, mut refused_after) = (1, None);
    while refused_after.is_none() {
        let started = clock::monotonic();
        match append(&journal, Importance::Ordinary, number) {
            Ok(_) => number += 1,
            Err(failure) => {
                assert_eq!((failure.kind, failure.message.as_str()), (Kind::Limit, "no record can be written"));
                refused_after = Some(started.elapsed());
            }
        }
        assert!(number < 10_000, "a full disk was never noticed");
    }
    assert!(refused_after.unwrap() < Duration::from_millis(100));
    assert!(journal.ready().is_err());
    // The reserve takes the ends of what runs, more than one segment of them.
    let begun = number;
    while number < begun + 60 {
        append(&journal, Importance::Completing, number).unwrap();
        number += 1;
    }
    journal.wait_durable(Ticket(number - 1)).unwrap();
    assert_eq!(contents(&journal).0.len() as u64, number - 1);
    memory.disk().capacity = None;
    let healed = clock::monotonic();
    while append(&journal, Importance::Ordinary, number).is_err() {
        assert!(healed.elapsed() < Duration::from_secs(1), "it does not heal");
        std::thread::yield_now();
    }
    assert!(journal.ready().is_ok());
}

#[test]
fn a_journal_nobody_empties_refuses_and_goes_on_when_emptied() {
    let memory = Memory::default();
    let (journal, _) = memory.open(Settings { bytes_max: 4 * SMALL.segment_bytes, ..SMALL });
    let mut number = 1;
    while append(&journal, Importance::Ordinary, number).is_ok() {
        number += 1;
        assert!(number < 10_000, "the limit is not kept");
        if number % 20 == 0 {
            journal.wait_durable(Ticket(number - 1)).unwrap();
        }
    }
    journal.free(number - 1).unwrap();
    let freed = clock::monotonic();
    while append(&journal, Importance::Ordinary, number).is_err() {
        assert!(freed.elapsed() < Duration::from_secs(1), "it does not go on");
        std::thread::yield_now();
    }
}

#[test]
fn entries_of_no_or_too_many_bytes_are_refused() {
    let (journal, _) = Memory::default().open(Settings { segment_bytes: 256 * 1024, ..SMALL });
    assert!(journal.append(Importance::Ordinary, 1, &[]).is_err());
    assert!(journal.append(Importance::Ordinary, 1, &[&vec![1; BODY_MAX + 1]]).is_err());
    let ticket = journal.append(Importance::Ordinary, 1, &[&vec![1; BODY_MAX]]).unwrap();
    journal.wait_durable(ticket).unwrap();
    assert_eq!(contents(&journal).0[&1].len(), BODY_MAX);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appenders_share_syncs_and_each_waits_for_its_own() {
    let path = folder("group");
    let (journal, _) = Journal::open(&path, Settings::new(1 << 30)).unwrap().unwrap();
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let journal = journal.clone();
            tokio::spawn(async move {
                for _ in 0..50 {
                    let ticket = journal.append(Importance::Ordinary, 1, &[b"body"]).unwrap();
                    journal.durable(ticket).await.unwrap();
                    assert!(journal.is_durable(ticket));
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(contents(&journal).0.len(), 800);
}

#[tokio::test]
async fn waiting_ends_when_the_disk_does_not_take_it() {
    let memory = Memory::default();
    let (journal, _) = memory.open(SMALL);
    memory.disk().fault = Some(Fault { op: Op::Sync, from: 0, to: usize::MAX, stored: false });
    let ticket = append(&journal, Importance::Ordinary, 1).unwrap();
    let started = clock::monotonic();
    let failure = journal.durable(ticket).await.unwrap_err();
    assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());
    assert_eq!(failure.detail.as_deref(), Some("Injected fault."));
    assert!(append(&journal, Importance::Ordinary, 2).is_err() && append(&journal, Importance::Completing, 2).is_err());
    memory.disk().fault = None;
    let mut waited = 0;
    while append(&journal, Importance::Ordinary, 2).is_err() {
        waited += 1;
        assert!(waited < 100, "it does not heal");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    journal.durable(ticket).await.unwrap();
}

/// Not a test of its own: the process that [`killing_the_writer_loses_nothing`] starts and kills. Without the variable
/// it has nothing to do.
#[test]
fn writer_process() {
    let Some(path) = env::var("GOV_TEST_JOURNAL") else { return };
    let (journal, opened) = Journal::open(&PathBuf::from(path), SMALL).unwrap().unwrap();
    let mut out = std::io::stdout();
    for number in opened.last + 1.. {
        let ticket = append(&journal, Importance::Ordinary, number).unwrap();
        writeln!(out, "written {}", ticket.number()).unwrap();
        if number % 50 == 0 {
            journal.free(number.saturating_sub(400)).unwrap();
        }
    }
}

#[test]
fn killing_the_writer_loses_nothing() {
    let path = folder("kill");
    let mut random = Random(11);
    let (mut attempts, mut survived, mut lost) = (0, 0u64, 0);
    while attempts < 40 {
        attempts += 1;
        let program = std::env::current_exe().unwrap();
        let mut child = std::process::Command::new(program)
            .args(["--exact", "runtime::journal::tests::writer_process", "--nocapture"])
            .env("GOV_TEST_JOURNAL", &path)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acknowledged = 0u64;
        let enough = 1 + random.below(700);
        let mut seen = 0;
        while let Some(Ok(line)) = lines.next() {
            let Some(number) = line.rsplit_once("written ").and_then(|(_, number)| number.parse().ok()) else {
                continue;
            };
            acknowledged = number;
            seen += 1;
            if seen == enough {
                // SIGKILL.
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        let (journal, opened) = Journal::open(&path, SMALL).unwrap().unwrap();
        let (frames, missing) = contents(&journal);
        assert!(missing.is_empty(), "{missing:?}");
        lost += acknowledged.saturating_sub(opened.last);
        assert!(frames.iter().all(|(number, found)| *found == body(*number)));
        survived += seen;
    }
    println!("kill -9 of the writer: {attempts} attempts, {survived} acknowledged frames survived, {lost} lost");
    assert_eq!(lost, 0);
}
